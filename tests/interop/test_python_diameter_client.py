"""python-diameter's node as the client of a running server: CER, DWR, CCR-I/U/T, DPR. Its classes read what we say."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from diameter.message import constants
from diameter.message.avp.grouped import (
    MultipleServicesCreditControl,
    RequestedServiceUnit,
    SubscriptionId,
    UsedServiceUnit,
)
from diameter.message.commands import CreditControlRequest
from diameter.node import Node
from diameter.node.application import SimpleThreadingApplication

from ocs.charging.command import BuyOffer
from ocs.store.directory import add_subscriber, read_account
from tests.serving import Running, in_background, serving

MSISDN = "491701234567"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Callable[[Any], Any], Running]]:
    with in_background(lambda: serving(tmp_path)) as (background, running):
        background.run(add_subscriber(running.ledger, MSISDN, [f"msisdn:{MSISDN}"]))
        background.run(running.ledger.execute(MSISDN, BuyOffer("o", "data-1gb")))
        yield background.run, running


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def ccr(kind: int, number: int, used: int | None) -> Any:
    request: Any = CreditControlRequest()
    request.session_id = "pgw.example.org;1;1;interop"
    request.origin_host = b"pgw.example.org"
    request.origin_realm = b"example.org"
    request.destination_realm = b"example.org"
    request.auth_application_id = constants.APP_DIAMETER_CREDIT_CONTROL_APPLICATION
    request.service_context_id = "32251@3gpp.org"
    request.cc_request_type = kind
    request.cc_request_number = number
    request.multiple_services_indicator = 1
    request.subscription_id = [SubscriptionId(subscription_id_type=0, subscription_id_data=MSISDN)]
    last = kind == constants.E_CC_REQUEST_TYPE_TERMINATION_REQUEST
    block = MultipleServicesCreditControl(rating_group=10)
    if not last:
        block.requested_service_unit = RequestedServiceUnit()
    if used is not None:
        block.used_service_unit = [UsedServiceUnit(cc_total_octets=used)]
    request.multiple_services_credit_control = [block]
    return request


def test_a_session_of_python_diameters_node(served: tuple[Callable[[Any], Any], Running]) -> None:
    run, running = served
    logging.getLogger("diameter").setLevel(logging.CRITICAL)
    node = Node("pgw.example.org", "example.org", ip_addresses=["127.0.0.1"], tcp_port=_free_port())
    node.idle_timeout = node.wakeup_interval = 1  # DWRs come within the test
    application = SimpleThreadingApplication(
        constants.APP_DIAMETER_CREDIT_CONTROL_APPLICATION, is_auth_application=True
    )
    peer = node.add_peer(
        f"aaa://ocs.example.org:{running.server.port};transport=tcp", "example.org", ["127.0.0.1"], is_persistent=True
    )
    node.add_application(application, [peer])
    node.start()  # type: ignore[no-untyped-call]
    try:
        application.wait_for_ready(10)
        first: Any = application.send_request(ccr(constants.E_CC_REQUEST_TYPE_INITIAL_REQUEST, 0, None), 10)
        assert first.result_code == constants.E_RESULT_CODE_DIAMETER_SUCCESS
        assert first.auth_application_id == 4
        block = first.multiple_services_credit_control[0]
        assert block.rating_group == 10
        assert block.granted_service_unit.cc_total_octets == 10 * 2**20
        assert block.validity_time == 3600
        assert block.volume_quota_threshold == 2 * 2**20
        _wait_for_watchdog(peer)
        update: Any = application.send_request(ccr(constants.E_CC_REQUEST_TYPE_UPDATE_REQUEST, 1, 9_000_000), 10)
        assert update.result_code == 2001
        last: Any = application.send_request(ccr(constants.E_CC_REQUEST_TYPE_TERMINATION_REQUEST, 2, 1_000_000), 10)
        assert last.result_code == 2001
        assert (last.cc_request_type, last.cc_request_number) == (3, 2)
        assert last.multiple_services_credit_control[0].granted_service_unit is None
    finally:
        node.stop(wait_timeout=10)  # sends DPR
    account = run(read_account(running.store, MSISDN))
    assert account.buckets[0].spent == 10_000_000
    assert account.buckets[0].reserved == 0
    assert '"reason": "goodbye"' in running.server.log.read_text()


def _wait_for_watchdog(peer: Any) -> None:
    """Until the node has had the answer to a DWR."""
    for _ in range(100):
        if peer.counters.dwa:
            return
        threading.Event().wait(0.1)
    pytest.fail("no watchdog was exchanged")
