"""A decision's answer as a CCA. Everything that varies comes from the answer that is stored with the session, so that a
repeated request gets the same AVPs.
"""

from aiodiameter.avp import Avp
from aiodiameter.dictionary import facts_of
from aiodiameter.header import FLAG_PROXIABLE
from aiodiameter.message import FailedAvp, answer_header
from aiodiameter.messages.credit_control import (
    APPLICATION_ID,
    CreditControlAnswer,
    CreditControlRequest,
    FinalUnitAction,
    FinalUnitIndication,
    GrantedServiceUnit,
    MultipleServicesCreditControl,
)
from ocs.charging.state import Answer, ServiceAnswer
from ocs.rating.catalogue import Unit

from .request import unsigned32_avp

_LAST_UNITS = FinalUnitIndication(final_unit_action=FinalUnitAction.TERMINATE)


def to_answer(
    request: CreditControlRequest,
    answer: Answer,
    origin_host: str,
    origin_realm: str,
    failure_handling: int | None = None,
    session_failover: int | None = None,
) -> CreditControlAnswer:
    """The CCA to `request`."""
    header = request.header
    message = CreditControlAnswer(
        header=answer_header(header, header.flags & FLAG_PROXIABLE),
        session_id=request.session_id,
        result_code=answer.result_code,
        origin_host=origin_host,
        origin_realm=origin_realm,
        auth_application_id=APPLICATION_ID,
        cc_request_type=request.cc_request_type,
        cc_request_number=request.cc_request_number,
        cc_session_failover=session_failover,
        credit_control_failure_handling=failure_handling,
        proxy_info=request.proxy_info,
    )
    if answer.multiple:
        blocks = [_block(service) for service in answer.services]
        for block, asked in zip(blocks, request.multiple_services_credit_control, strict=False):
            block.service_identifier = asked.service_identifier  # all of them; charging looks at the first
        message.multiple_services_credit_control = blocks
    elif answer.services and answer.result_code == 2001:
        service = answer.services[0]
        if service.granted is not None:
            message.granted_service_unit = _granted(service.unit, service.granted)
        message.validity_time = service.validity_s
        message.final_unit_indication = _LAST_UNITS if service.final else None
    if answer.failed:
        message.failed_avp = [FailedAvp(other=[_failed(request, answer.failed)])]
    if answer.text:
        message.error_message = answer.text
    return message


def _granted(unit: Unit | None, units: int) -> GrantedServiceUnit:
    if unit == Unit.OCTETS:
        return GrantedServiceUnit(cc_total_octets=units)
    if unit == Unit.SECONDS:
        return GrantedServiceUnit(cc_time=units)
    return GrantedServiceUnit(cc_service_specific_units=units)


def _block(service: ServiceAnswer) -> MultipleServicesCreditControl:
    block = MultipleServicesCreditControl(rating_group=service.rating_group, result_code=service.result_code)
    if service.service_identifier is not None:
        block.service_identifier = [service.service_identifier]
    if service.granted is not None:
        unit = service.unit
        block.granted_service_unit = _granted(unit, service.granted)
        block.validity_time = service.validity_s
        if service.threshold is not None:
            threshold = min(service.threshold, 0xFFFFFFFF)  # a grant may have 64 bits, a threshold has 32
            if unit == Unit.OCTETS:
                block.volume_quota_threshold = threshold
            elif unit == Unit.SECONDS:
                block.time_quota_threshold = threshold
            else:
                block.unit_quota_threshold = threshold
        if service.final:
            block.final_unit_indication = _LAST_UNITS
    return block


def _failed(request: CreditControlRequest, name: str) -> Avp:
    """The AVP of the request that was at fault (RFC 6733 §7.5)."""
    if name == "CC-Request-Number":
        return unsigned32_avp(name, request.cc_request_number)
    if name == "Rating-Group":
        groups = [block.rating_group for block in request.multiple_services_credit_control]
        return unsigned32_avp(name, (groups[0] if groups else None) or 0)
    facts = facts_of("Service-Context-Id")
    return Avp(facts.code, request.service_context_id.encode(), 0, facts.flags)
