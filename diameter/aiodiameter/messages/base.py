"""The base protocol's commands (RFC 6733 §5): capabilities, watchdog, disconnection."""

import enum
from typing import ClassVar

from ..message import Answer, FailedAvp, Grouped, Request


class DisconnectCause(enum.IntEnum):
    """Disconnect-Cause (§5.4.3)."""

    REBOOTING = 0
    BUSY = 1
    DO_NOT_WANT_TO_TALK_TO_YOU = 2


class InbandSecurityId(enum.IntEnum):
    """Inband-Security-Id (§6.10)."""

    NO_INBAND_SECURITY = 0
    TLS = 1


class VendorSpecificApplicationId(Grouped, kw_only=True):
    """Vendor-Specific-Application-Id (§6.11). Some peers send several Vendor-Ids: RFC 3588 allowed it."""

    vendor_id: list[int] = []
    auth_application_id: int | None = None
    acct_application_id: int | None = None


class CapabilitiesExchangeAnswer(Answer, kw_only=True):
    """CEA (§5.3.2)."""

    command_code: ClassVar[int] = 257
    name: ClassVar[str] = "Capabilities-Exchange-Answer"
    proxiable: ClassVar[bool] = False

    result_code: int
    origin_host: str
    origin_realm: str
    host_ip_address: list[str] = []
    vendor_id: int | None = None
    product_name: str | None = None
    origin_state_id: int | None = None
    error_message: str | None = None
    failed_avp: list[FailedAvp] = []
    supported_vendor_id: list[int] = []
    auth_application_id: list[int] = []
    inband_security_id: list[int] = []
    acct_application_id: list[int] = []
    vendor_specific_application_id: list[VendorSpecificApplicationId] = []
    firmware_revision: int | None = None


class CapabilitiesExchangeRequest(Request, kw_only=True):
    """CER (§5.3.1)."""

    command_code: ClassVar[int] = 257
    name: ClassVar[str] = "Capabilities-Exchange-Request"
    proxiable: ClassVar[bool] = False
    answer_class: ClassVar[type[Answer]] = CapabilitiesExchangeAnswer

    origin_host: str
    origin_realm: str
    host_ip_address: list[str]
    vendor_id: int
    product_name: str
    origin_state_id: int | None = None
    supported_vendor_id: list[int] = []
    auth_application_id: list[int] = []
    inband_security_id: list[int] = []
    acct_application_id: list[int] = []
    vendor_specific_application_id: list[VendorSpecificApplicationId] = []
    firmware_revision: int | None = None


class DeviceWatchdogAnswer(Answer, kw_only=True):
    """DWA (§5.5.2)."""

    command_code: ClassVar[int] = 280
    name: ClassVar[str] = "Device-Watchdog-Answer"
    proxiable: ClassVar[bool] = False

    result_code: int
    origin_host: str
    origin_realm: str
    error_message: str | None = None
    failed_avp: list[FailedAvp] = []
    origin_state_id: int | None = None


class DeviceWatchdogRequest(Request, kw_only=True):
    """DWR (§5.5.1)."""

    command_code: ClassVar[int] = 280
    name: ClassVar[str] = "Device-Watchdog-Request"
    proxiable: ClassVar[bool] = False
    answer_class: ClassVar[type[Answer]] = DeviceWatchdogAnswer

    origin_host: str
    origin_realm: str
    origin_state_id: int | None = None


class DisconnectPeerAnswer(Answer, kw_only=True):
    """DPA (§5.4.2)."""

    command_code: ClassVar[int] = 282
    name: ClassVar[str] = "Disconnect-Peer-Answer"
    proxiable: ClassVar[bool] = False

    result_code: int
    origin_host: str
    origin_realm: str
    error_message: str | None = None
    failed_avp: list[FailedAvp] = []


class DisconnectPeerRequest(Request, kw_only=True):
    """DPR (§5.4.1)."""

    command_code: ClassVar[int] = 282
    name: ClassVar[str] = "Disconnect-Peer-Request"
    proxiable: ClassVar[bool] = False
    answer_class: ClassVar[type[Answer]] = DisconnectPeerAnswer

    origin_host: str
    origin_realm: str
    disconnect_cause: DisconnectCause


BASE_MESSAGES = (CapabilitiesExchangeRequest, DeviceWatchdogRequest, DisconnectPeerRequest)
