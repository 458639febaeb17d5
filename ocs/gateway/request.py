"""A CCR as a command: who, which services, how much was used, how much is asked for. Decides nothing.

Written to what clients do, not only to what they should do: usage may come as total or as input and output octets,
MSCCs may come without Multiple-Services-Indicator, without Rating-Group, or not at all.
"""

import functools
import zlib
from typing import Any

import msgspec

from aiodiameter.avp import Avp
from aiodiameter.codec import compile_class
from aiodiameter.dictionary import facts_of
from aiodiameter.messages.credit_control import (
    APPLICATION_ID,
    CcMoney,
    CcRequestType,
    CreditControlRequest,
    MultipleServicesCreditControl,
    PsInformation,
    ReportingReason,
    RequestedAction,
    RequestedServiceUnit,
    SubscriptionId,
    SubscriptionIdType,
    UsedServiceUnit,
)
from aiodiameter.result_codes import ResultCode
from ocs.charging.command import CreditControl, RequestType, ServiceRequest
from ocs.charging.state import MAX_QUANTITY
from ocs.rating.catalogue import Unit

_KINDS = {
    SubscriptionIdType.END_USER_E164: "msisdn",
    SubscriptionIdType.END_USER_IMSI: "imsi",
    SubscriptionIdType.END_USER_SIP_URI: "sip",
    SubscriptionIdType.END_USER_NAI: "nai",
    SubscriptionIdType.END_USER_PRIVATE: "private",
}
_TYPES = {
    CcRequestType.INITIAL_REQUEST: RequestType.INITIAL,
    CcRequestType.UPDATE_REQUEST: RequestType.UPDATE,
    CcRequestType.TERMINATION_REQUEST: RequestType.TERMINATION,
    CcRequestType.EVENT_REQUEST: RequestType.EVENT,
}
_OCTETS, _SECONDS, _EVENTS = Unit.OCTETS, Unit.SECONDS, Unit.EVENTS
_fingerprint_of = msgspec.json.Encoder().encode


class RequestRefused(Exception):
    """A CCR that cannot become a command. Carries what to answer."""

    def __init__(self, result_code: ResultCode, text: str, failed_avp: Avp | None = None) -> None:
        super().__init__(text)
        self.result_code = result_code
        self.failed_avp = failed_avp


def unsigned32_avp(name: str, value: int) -> Avp:
    """An Unsigned32 AVP for Failed-AVP."""
    facts = facts_of(name)
    return Avp(facts.code, value.to_bytes(4, "big"), facts.vendor, facts.flags)


def _copy_of(name: str, group: CcMoney | UsedServiceUnit) -> Avp:
    """A group of the request as it came, for Failed-AVP."""
    facts = facts_of(name)
    return Avp(facts.code, compile_class(type(group)).write(group), facts.vendor, facts.flags)


@functools.lru_cache(maxsize=1024)
def context_of(service_context_id: str) -> str:
    """The 3GPP TS number in a Service-Context-Id, whatever stands before it (TS 32.299 §7.1.12):
    `ext.001.01.15.32251@3gpp.org` gives `32251`.
    """
    return service_context_id.partition("@")[0].rpartition(".")[2]


def identities_of(request: CreditControlRequest) -> list[str]:
    """Who the request is about, as `kind:value`, in the request's order."""
    ids: list[SubscriptionId] = request.subscription_id
    if not ids and request.service_information is not None:
        ids = request.service_information.subscription_id
    return [
        f"{_KINDS[i.subscription_id_type]}:{i.subscription_id_data.removeprefix('+')}"
        if i.subscription_id_type == 0
        else f"{_KINDS[i.subscription_id_type]}:{i.subscription_id_data}"
        for i in ids
    ]


def to_command(request: CreditControlRequest) -> CreditControl:
    """The command in a CCR. Raises RequestRefused for what no command can be made of."""
    if not request.session_id:
        failed = Avp(facts_of("Session-Id").code, b"", 0, facts_of("Session-Id").flags)
        raise RequestRefused(ResultCode.INVALID_AVP_VALUE, "Session-Id is empty", failed)
    if request.auth_application_id != APPLICATION_ID:
        value = request.auth_application_id
        text = f"Auth-Application-Id {value} in a message of application {APPLICATION_ID}"
        raise RequestRefused(ResultCode.INVALID_AVP_VALUE, text, unsigned32_avp("Auth-Application-Id", value))
    request_type = _TYPES[request.cc_request_type]
    if request_type is RequestType.EVENT:
        _check_action(request.requested_action)
    information = request.service_information
    bearer = information.ps_information if information is not None else None
    blocks = request.multiple_services_credit_control
    opens = request_type in (RequestType.INITIAL, RequestType.EVENT)
    multiple = bool(blocks) or (request.multiple_services_indicator == 1 and request_type is not RequestType.EVENT)
    if blocks:
        _check_no_usage_outside(request)
        services = [_service(block) for block in blocks]
    elif _says_nothing_of_services(request, request_type):
        services = []
    else:
        services = [_whole_request(request, request_type)]
    return CreditControl(
        request_type,
        request.session_id,
        request.cc_request_number,
        context_of(request.service_context_id),
        services,
        multiple=multiple,
        fingerprint=zlib.crc32(_fingerprint_of((request_type, multiple, services, request.cc_sub_session_id))),
        peer=request.origin_host,
        realm=request.origin_realm,
        apn=bearer.called_station_id if bearer is not None else None,
        about=_about(request, bearer) if opens else {},
        cause=request.termination_cause,
    )


def _check_action(action: RequestedAction | None) -> None:
    if action is None:
        raise RequestRefused(
            ResultCode.MISSING_AVP, "Requested-Action is missing", unsigned32_avp("Requested-Action", 0)
        )
    if action != RequestedAction.DIRECT_DEBITING:
        raise RequestRefused(ResultCode.UNABLE_TO_COMPLY, f"Requested-Action {action.name} is not served yet")


def _service(block: MultipleServicesCreditControl) -> ServiceRequest:
    reports = block.used_service_unit
    reason = block.reporting_reason
    final = reason == ReportingReason.FINAL
    for report in reports:
        if report.reporting_reason is not None:
            final = final or report.reporting_reason == ReportingReason.FINAL
            if reason is None:
                reason = report.reporting_reason
    identifiers = block.service_identifier
    wish = block.requested_service_unit
    return ServiceRequest(
        block.rating_group,
        identifiers[0] if identifiers else None,
        None if wish is None else _requested(wish),
        _used(reports) if reports else None,
        final,
        reason,
    )


def _check_no_usage_outside(request: CreditControlRequest) -> None:
    """Usage stands in the MSCCs or at command level, never in both (RFC 8506 §5.1.2): nobody can know which of them
    counts, or whether both do. Units asked for at command level are a wish that the MSCCs make superfluous.
    """
    outside = request.used_service_unit
    if outside and any(_used(outside).values()):
        text = "units are reported both in and outside Multiple-Services-Credit-Control"
        raise RequestRefused(ResultCode.CONTRADICTING_AVPS, text, _copy_of("Used-Service-Unit", outside[0]))


def _says_nothing_of_services(request: CreditControlRequest, request_type: RequestType) -> bool:
    """No MSCC and no units. An initial request then opens a session whose services are named later, if it announces
    them (RFC 8506 §5.1.2); an event always means one service.
    """
    if request.requested_service_unit is not None or request.used_service_unit:
        return False
    if request_type is RequestType.INITIAL:
        return request.multiple_services_indicator == 1
    return request_type is not RequestType.EVENT


def _whole_request(request: CreditControlRequest, request_type: RequestType) -> ServiceRequest:
    """A request for a single service, which stands at command level. A first one asks even without saying so; an event
    that reports units and asks for none has happened already.
    """
    wish, reports = request.requested_service_unit, request.used_service_unit
    requested = None if wish is None else _requested(wish)
    asks_silently = request_type is RequestType.INITIAL or (request_type is RequestType.EVENT and not reports)
    if requested is None and asks_silently:
        requested = {}
    used = _used(reports) if reports else None
    return ServiceRequest(None, request.service_identifier, requested, used)


def _no_money(money: CcMoney) -> RequestRefused:
    """An amount of money is neither a number of units nor nothing."""
    text = "amounts of money (CC-Money) are not served yet, only units that have a price"
    return RequestRefused(ResultCode.RATING_FAILED, text, _copy_of("CC-Money", money))


def _requested(wish: RequestedServiceUnit) -> dict[str, int]:
    if wish.cc_money is not None:
        raise _no_money(wish.cc_money)
    units: dict[str, int] = {}
    octets = wish.cc_total_octets
    if octets is None and (wish.cc_input_octets is not None or wish.cc_output_octets is not None):
        octets = (wish.cc_input_octets or 0) + (wish.cc_output_octets or 0)
    # What is asked for is a wish: more than could ever be granted means as much as possible.
    if octets:
        units[_OCTETS] = min(octets, MAX_QUANTITY)
    if wish.cc_time:
        units[_SECONDS] = wish.cc_time
    if wish.cc_service_specific_units:
        units[_EVENTS] = min(wish.cc_service_specific_units, MAX_QUANTITY)
    return units


def _used(reports: list[UsedServiceUnit]) -> dict[str, int]:
    """The sum over the reports, by unit, of the units that were reported."""
    units: dict[str, int] = {}
    for report in reports:
        if report.cc_money is not None:
            raise _no_money(report.cc_money)
        octets = report.cc_total_octets
        if not octets and (report.cc_input_octets is not None or report.cc_output_octets is not None):
            octets = (report.cc_input_octets or 0) + (report.cc_output_octets or 0)
        if octets is not None:
            units[_OCTETS] = units.get(_OCTETS, 0) + octets
        if report.cc_time is not None:
            units[_SECONDS] = units.get(_SECONDS, 0) + report.cc_time
        if report.cc_service_specific_units is not None:
            units[_EVENTS] = units.get(_EVENTS, 0) + report.cc_service_specific_units
    for unit, amount in units.items():
        if amount > MAX_QUANTITY:
            raise RequestRefused(
                ResultCode.INVALID_AVP_VALUE,
                f"{amount} used {unit} is more than anything counts ({MAX_QUANTITY})",
                _copy_of("Used-Service-Unit", reports[-1]),
            )
    return units


def _about(request: CreditControlRequest, bearer: PsInformation | None) -> dict[str, Any]:
    """What a CDR wants to know of the session beyond money."""
    about: dict[str, Any] = dict(name.split(":", 1) for name in identities_of(request))
    if bearer is not None:
        facts = {
            "apn": bearer.called_station_id,
            "address": bearer.pdp_address[0] if bearer.pdp_address else None,
            "mcc_mnc": bearer.sgsn_mcc_mnc,
            "rat": bearer.rat_type.hex() if bearer.rat_type is not None else None,
            "charging_id": bearer.charging_id.hex() if bearer.charging_id is not None else None,
        }
        about.update({name: value for name, value in facts.items() if value is not None})
    return about
