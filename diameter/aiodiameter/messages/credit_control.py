"""Credit control: CCR and CCA (RFC 8506 §3), RAR and RAA of that application, with the AVPs of Gy/Ro (TS 32.299 §6.4).

Enumerations whose unknown values must be refused (RFC 6733 §7.1.5) are declared as such; the others are plain integers.
"""

import enum
from typing import ClassVar

from ..message import Answer, FailedAvp, FrozenGroup, Grouped, ProxyInfo, Request, avp

APPLICATION_ID = 4


class CcRequestType(enum.IntEnum):
    """CC-Request-Type (RFC 8506 §8.3)."""

    INITIAL_REQUEST = 1
    UPDATE_REQUEST = 2
    TERMINATION_REQUEST = 3
    EVENT_REQUEST = 4


class RequestedAction(enum.IntEnum):
    """Requested-Action (§8.41)."""

    DIRECT_DEBITING = 0
    REFUND_ACCOUNT = 1
    CHECK_BALANCE = 2
    PRICE_ENQUIRY = 3


class SubscriptionIdType(enum.IntEnum):
    """Subscription-Id-Type (§8.47)."""

    END_USER_E164 = 0
    END_USER_IMSI = 1
    END_USER_SIP_URI = 2
    END_USER_NAI = 3
    END_USER_PRIVATE = 4


class FinalUnitAction(enum.IntEnum):
    """Final-Unit-Action (§8.35)."""

    TERMINATE = 0
    REDIRECT = 1
    RESTRICT_ACCESS = 2


class FailureHandling(enum.IntEnum):
    """Credit-Control-Failure-Handling (§8.14)."""

    TERMINATE = 0
    CONTINUE = 1
    RETRY_AND_TERMINATE = 2


class ReportingReason(enum.IntEnum):
    """Reporting-Reason (TS 32.299 §7.2.175)."""

    THRESHOLD = 0
    QHT = 1
    FINAL = 2
    QUOTA_EXHAUSTED = 3
    VALIDITY_TIME = 4
    OTHER_QUOTA_TYPE = 5
    RATING_CONDITION_CHANGE = 6
    FORCED_REAUTHORISATION = 7
    POOL_EXHAUSTED = 8
    UNUSED_QUOTA_TIMER = 9


class UnitValue(Grouped, kw_only=True):
    """Unit-Value (§8.8): Value-Digits x 10^Exponent."""

    value_digits: int
    exponent: int | None = None


class CcMoney(Grouped, kw_only=True):
    """CC-Money (§8.22)."""

    unit_value: UnitValue
    currency_code: int | None = None


class RequestedServiceUnit(Grouped, kw_only=True):
    """Requested-Service-Unit (§8.18). Empty: the server chooses."""

    cc_time: int | None = None
    cc_money: CcMoney | None = None
    cc_total_octets: int | None = None
    cc_input_octets: int | None = None
    cc_output_octets: int | None = None
    cc_service_specific_units: int | None = None


class UsedServiceUnit(Grouped, kw_only=True):
    """Used-Service-Unit (§8.19, TS 32.299 §7.2.231)."""

    reporting_reason: int | None = None
    tariff_change_usage: int | None = None
    cc_time: int | None = None
    cc_money: CcMoney | None = None
    cc_total_octets: int | None = None
    cc_input_octets: int | None = None
    cc_output_octets: int | None = None
    cc_service_specific_units: int | None = None
    event_charging_timestamp: list[int] = []


class GrantedServiceUnit(Grouped, kw_only=True):
    """Granted-Service-Unit (§8.17)."""

    tariff_time_change: int | None = None
    cc_time: int | None = None
    cc_money: CcMoney | None = None
    cc_total_octets: int | None = None
    cc_input_octets: int | None = None
    cc_output_octets: int | None = None
    cc_service_specific_units: int | None = None


class RedirectServer(Grouped, kw_only=True):
    """Redirect-Server (§8.37)."""

    redirect_address_type: int
    redirect_server_address: str


class FinalUnitIndication(Grouped, kw_only=True):
    """Final-Unit-Indication (§8.34)."""

    final_unit_action: FinalUnitAction
    restriction_filter_rule: list[str] = []
    filter_id: list[str] = []
    redirect_server: RedirectServer | None = None


class MultipleServicesCreditControl(Grouped, kw_only=True):
    """Multiple-Services-Credit-Control (§8.16, TS 32.299 §7.2.101)."""

    granted_service_unit: GrantedServiceUnit | None = None
    requested_service_unit: RequestedServiceUnit | None = None
    used_service_unit: list[UsedServiceUnit] = []
    tariff_change_usage: int | None = None
    service_identifier: list[int] = []
    rating_group: int | None = None
    validity_time: int | None = None
    result_code: int | None = None
    final_unit_indication: FinalUnitIndication | None = None
    time_quota_threshold: int | None = None
    volume_quota_threshold: int | None = None
    unit_quota_threshold: int | None = None
    quota_holding_time: int | None = None
    quota_consumption_time: int | None = None
    reporting_reason: int | None = None


class SubscriptionId(FrozenGroup, kw_only=True):
    """Subscription-Id (§8.46)."""

    shared: ClassVar[bool] = True

    subscription_id_type: SubscriptionIdType
    subscription_id_data: str


class UserEquipmentInfo(FrozenGroup, kw_only=True):
    """User-Equipment-Info (§8.49)."""

    shared: ClassVar[bool] = True

    user_equipment_info_type: int
    user_equipment_info_value: bytes


class PsInformation(FrozenGroup, kw_only=True):
    """PS-Information (TS 32.299 §7.2.158): the data bearer that is charged. Only what charging looks at is named."""

    charging_id: bytes | None = avp("3GPP-Charging-Id")
    pdp_type: int | None = avp("3GPP-PDP-Type")
    pdp_address: list[str] = []
    sgsn_address: list[str] = []
    ggsn_address: list[str] = []
    called_station_id: str | None = None
    selection_mode: str | None = avp("3GPP-Selection-Mode")
    charging_characteristics: str | None = avp("3GPP-Charging-Characteristics")
    sgsn_mcc_mnc: str | None = avp("3GPP-SGSN-MCC-MNC")
    nsapi: bytes | None = avp("3GPP-NSAPI")
    ms_time_zone: bytes | None = avp("3GPP-MS-TimeZone")
    user_location_info: bytes | None = avp("3GPP-User-Location-Info")
    rat_type: bytes | None = avp("3GPP-RAT-Type")
    user_equipment_info: UserEquipmentInfo | None = None


class ServiceInformation(FrozenGroup, kw_only=True):
    """Service-Information (TS 32.299 §7.2.192)."""

    shared: ClassVar[bool] = True

    subscription_id: list[SubscriptionId] = []
    ps_information: PsInformation | None = None


class CreditControlAnswer(Answer, kw_only=True):
    """CCA (§3.2)."""

    command_code: ClassVar[int] = 272
    application_id: ClassVar[int] = APPLICATION_ID
    name: ClassVar[str] = "Credit-Control-Answer"

    session_id: str
    result_code: int
    origin_host: str
    origin_realm: str
    auth_application_id: int
    cc_request_type: int
    cc_request_number: int
    user_name: str | None = None
    cc_session_failover: int | None = None
    cc_sub_session_id: int | None = None
    origin_state_id: int | None = None
    event_timestamp: int | None = None
    granted_service_unit: GrantedServiceUnit | None = None
    multiple_services_credit_control: list[MultipleServicesCreditControl] = []
    final_unit_indication: FinalUnitIndication | None = None
    check_balance_result: int | None = None
    credit_control_failure_handling: int | None = None
    direct_debiting_failure_handling: int | None = None
    validity_time: int | None = None
    error_message: str | None = None
    proxy_info: list[ProxyInfo] = []
    failed_avp: list[FailedAvp] = []


class CreditControlRequest(Request, kw_only=True):
    """CCR (§3.1, TS 32.299 §6.4.2)."""

    command_code: ClassVar[int] = 272
    application_id: ClassVar[int] = APPLICATION_ID
    name: ClassVar[str] = "Credit-Control-Request"
    answer_class: ClassVar[type[Answer]] = CreditControlAnswer

    session_id: str
    origin_host: str
    origin_realm: str
    destination_realm: str
    auth_application_id: int
    service_context_id: str
    cc_request_type: CcRequestType
    cc_request_number: int
    destination_host: str | None = None
    user_name: str | None = None
    cc_sub_session_id: int | None = None
    origin_state_id: int | None = None
    event_timestamp: int | None = None
    subscription_id: list[SubscriptionId] = []
    service_identifier: int | None = None
    termination_cause: int | None = None
    requested_service_unit: RequestedServiceUnit | None = None
    requested_action: RequestedAction | None = None
    used_service_unit: list[UsedServiceUnit] = []
    multiple_services_indicator: int | None = None
    multiple_services_credit_control: list[MultipleServicesCreditControl] = []
    user_equipment_info: UserEquipmentInfo | None = None
    proxy_info: list[ProxyInfo] = []
    route_record: list[str] = []
    service_information: ServiceInformation | None = None


class ReAuthAnswer(Answer, kw_only=True):
    """RAA (RFC 6733 §8.3.2)."""

    command_code: ClassVar[int] = 258
    application_id: ClassVar[int] = APPLICATION_ID
    name: ClassVar[str] = "Re-Auth-Answer"

    session_id: str
    result_code: int
    origin_host: str
    origin_realm: str
    error_message: str | None = None
    failed_avp: list[FailedAvp] = []
    proxy_info: list[ProxyInfo] = []


class ReAuthRequest(Request, kw_only=True):
    """RAR (RFC 6733 §8.3.1 with the AVPs of RFC 8506 §5.5)."""

    command_code: ClassVar[int] = 258
    application_id: ClassVar[int] = APPLICATION_ID
    name: ClassVar[str] = "Re-Auth-Request"
    answer_class: ClassVar[type[Answer]] = ReAuthAnswer

    session_id: str
    origin_host: str
    origin_realm: str
    destination_realm: str
    destination_host: str
    auth_application_id: int
    re_auth_request_type: int
    rating_group: int | None = None
    proxy_info: list[ProxyInfo] = []
    route_record: list[str] = []


CREDIT_CONTROL_MESSAGES = (CreditControlRequest, ReAuthRequest)
