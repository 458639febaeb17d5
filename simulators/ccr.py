"""The Credit-Control-Requests of one session, as a PGW writes them (RFC 8506 §3.1, TS 32.299 §6.4.2).

Owns what stands in a request and where. Refuses to know when one is due and what is granted.
"""

from typing import Any

import msgspec

from aiodiameter.messages.credit_control import (
    APPLICATION_ID,
    CcRequestType,
    CreditControlRequest,
    MultipleServicesCreditControl,
    PsInformation,
    ReportingReason,
    RequestedServiceUnit,
    ServiceInformation,
    SubscriptionId,
    SubscriptionIdType,
    UsedServiceUnit,
    UserEquipmentInfo,
)

from .books import Unit
from .service import Report

DATA_CONTEXT = "32251@3gpp.org"
"""Service-Context-Id of packet-switched data (TS 32.299 §7.1.12)."""
_IMEISV = 0
"""User-Equipment-Info-Type (RFC 8506 §8.50)."""
IN_QUOTA = frozenset((ReportingReason.THRESHOLD, ReportingReason.QUOTA_EXHAUSTED))
"""The reasons that belong to one kind of quota and so into the Used-Service-Unit (TS 32.299 §7.2.175)."""
_LOGOUT = 1
"""Termination-Cause DIAMETER_LOGOUT (RFC 6733 §8.15)."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes to whom."""

    origin_host: str
    origin_realm: str
    destination_realm: str
    origin_state_id: int | None = None


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose connection is charged, and what the gateway says about it. The defaults are a place in a test network."""

    msisdn: str
    imsi: str
    imeisv: str = "3569380356438091"
    """16 digits."""
    address: str = "10.45.0.2"
    """The address that the subscriber was given."""
    apn: str = "internet"
    charging_id: int = 1
    sgsn_address: str = "192.0.2.10"
    ggsn_address: str = "192.0.2.20"
    mcc_mnc: str = "00101"
    rat_type: bytes = b"\x06"
    """EUTRAN (TS 29.061 §16.4.7)."""
    location: bytes = bytes.fromhex("8200f110000100f11000000101")
    """TAI and ECGI in 001-01 (TS 29.061 §16.4.7, TS 29.274 §8.21)."""
    time_zone: bytes = b"\x40\x00"
    """UTC+1 (TS 23.040 §9.2.3.11), no daylight saving."""


class CcrWriter:
    """Writes the requests of one session of a gateway that does what the standards say."""

    def __init__(self, endpoint: Endpoint, bearer: Bearer, session_id: str, *, requested: int | None = None) -> None:
        self.endpoint = endpoint
        self.bearer = bearer
        self.session_id = session_id
        self.requested = requested
        """Octets asked for each time; None leaves the choice to the server (RFC 8506 §8.18)."""
        self._subscriptions = [
            SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_E164, subscription_id_data=bearer.msisdn),
            SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_IMSI, subscription_id_data=bearer.imsi),
        ]
        self._equipment = UserEquipmentInfo(
            user_equipment_info_type=_IMEISV, user_equipment_info_value=bearer.imeisv.encode()
        )
        self._information = self.service_information()

    def write(
        self,
        request_type: CcRequestType,
        number: int,
        now: float,
        reports: list[Report],
        destination_host: str | None = None,
    ) -> CreditControlRequest:
        """One request. `now`: seconds since 1970, for Event-Timestamp; `number`: CC-Request-Number."""
        request = self._frame(request_type, number, now, destination_host)
        request.multiple_services_credit_control = [self.block(report) for report in reports]
        request.user_equipment_info = self._equipment
        request.service_information = self._information
        if request_type is CcRequestType.INITIAL_REQUEST:
            request.multiple_services_indicator = 1  # RFC 8506 §8.40
        return request

    def _frame(
        self, request_type: CcRequestType, number: int, now: float, destination_host: str | None
    ) -> CreditControlRequest:
        """What every request holds, whatever it is about."""
        endpoint = self.endpoint
        return CreditControlRequest(
            session_id=self.session_id,
            origin_host=endpoint.origin_host,
            origin_realm=endpoint.origin_realm,
            destination_realm=endpoint.destination_realm,
            destination_host=destination_host,
            auth_application_id=APPLICATION_ID,
            service_context_id=DATA_CONTEXT,
            cc_request_type=request_type,
            cc_request_number=number,
            origin_state_id=endpoint.origin_state_id,
            event_timestamp=int(now),
            subscription_id=self._subscriptions,
            termination_cause=_LOGOUT if request_type is CcRequestType.TERMINATION_REQUEST else None,
        )

    def block(self, report: Report) -> MultipleServicesCreditControl:
        """What the request says of one service."""
        due = report.due
        block = MultipleServicesCreditControl(rating_group=report.rating_group)
        if due.asks:
            block.requested_service_unit = RequestedServiceUnit(cc_total_octets=self.requested)
        if report.usage is not None:
            block.used_service_unit = [self._used(report, unit) for unit in report.units]
        if due.reason not in IN_QUOTA:
            block.reporting_reason = due.reason
        return block

    def _used(self, report: Report, unit: Unit) -> UsedServiceUnit:
        usage, due = report.usage, report.due
        assert usage is not None
        used = UsedServiceUnit()
        if due.reason in IN_QUOTA:
            own = due.unit in (None, unit)
            used.reporting_reason = due.reason if own else ReportingReason.OTHER_QUOTA_TYPE
        if unit is Unit.OCTETS:
            used.cc_total_octets = usage.of(unit)
            used.cc_input_octets = usage.octets_up
            used.cc_output_octets = usage.octets_down
        elif unit is Unit.SECONDS:
            used.cc_time = usage.seconds
        else:
            used.cc_service_specific_units = usage.events
        return used

    def service_information(self, **changes: Any) -> ServiceInformation:
        """Where the subscriber is, and on which bearer (TS 32.299 §7.2.158). `changes` to it: by attribute."""
        bearer = self.bearer
        facts: dict[str, Any] = {
            "charging_id": bearer.charging_id.to_bytes(4, "big"),
            "pdp_type": 0,
            "pdp_address": [bearer.address],
            "sgsn_address": [bearer.sgsn_address],
            "ggsn_address": [bearer.ggsn_address],
            "called_station_id": bearer.apn,
            "selection_mode": "0",
            "charging_characteristics": "0800",
            "sgsn_mcc_mnc": bearer.mcc_mnc,
            "nsapi": b"5",
            "ms_time_zone": bearer.time_zone,
            "user_location_info": bearer.location,
            "rat_type": bearer.rat_type,
        }
        return ServiceInformation(ps_information=PsInformation(**{**facts, **changes}))
