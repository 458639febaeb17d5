"""python-diameter's own node answering every CCR with a canned CCA: what the library's classes cost. Run as a process:

python -m tests.bench.canned PORT
"""

import sys
import threading
from typing import Any

from diameter.message import constants
from diameter.message.avp.grouped import GrantedServiceUnit, MultipleServicesCreditControl
from diameter.node import Node
from diameter.node.application import SimpleThreadingApplication


def answer(_application: Any, message: Any) -> Any:
    """2001 and a grant for each service, whatever was asked."""
    cca = message.to_answer()
    cca.result_code = constants.E_RESULT_CODE_DIAMETER_SUCCESS
    cca.origin_host = b"canned.example.org"
    cca.origin_realm = b"example.org"
    cca.session_id = message.session_id
    cca.auth_application_id = constants.APP_DIAMETER_CREDIT_CONTROL_APPLICATION
    cca.cc_request_type = message.cc_request_type
    cca.cc_request_number = message.cc_request_number
    cca.multiple_services_credit_control = [
        MultipleServicesCreditControl(
            granted_service_unit=GrantedServiceUnit(cc_total_octets=1_000_000),
            rating_group=block.rating_group,
            validity_time=3600,
            result_code=constants.E_RESULT_CODE_DIAMETER_SUCCESS,
        )
        for block in message.multiple_services_credit_control
    ]
    return cca


def main(port: int) -> None:
    node = Node("canned.example.org", "example.org", ip_addresses=["127.0.0.1"], tcp_port=port)
    application = SimpleThreadingApplication(
        constants.APP_DIAMETER_CREDIT_CONTROL_APPLICATION, is_auth_application=True, request_handler=answer
    )
    peer = node.add_peer("aaa://pgw.example.org;transport=tcp", "example.org")
    node.add_application(application, [peer])
    node.start()  # type: ignore[no-untyped-call]
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]))
