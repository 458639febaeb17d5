"""The capabilities exchange (RFC 6733 §5.3): what we say, and what we make of what the peer says.

Pure: from values to values. Whether a peer is welcome is for others to say; so is what follows from the verdict.
"""

import msgspec

from .errors import AvpError
from .identity import Application, Identity, identity_key
from .message import Answer, ErrorAnswer, FailedAvp, error_answer
from .messages.base import (
    CapabilitiesExchangeAnswer,
    CapabilitiesExchangeRequest,
    InbandSecurityId,
    VendorSpecificApplicationId,
)
from .result_codes import ResultCode

RELAY_APPLICATION_ID = 0xFFFFFFFF
"""A relay takes every application (§2.4)."""


class Verdict(msgspec.Struct, frozen=True):
    """What a CER is answered with. `reason` is a word for counters, `text` says it to people."""

    result_code: ResultCode
    reason: str = ""
    text: str = ""
    applications: frozenset[int] = frozenset()
    """What both speak, when the verdict is SUCCESS."""
    fault: AvpError | None = None

    @property
    def is_success(self) -> bool:
        return self.result_code is ResultCode.SUCCESS


def common_applications(
    theirs: CapabilitiesExchangeRequest | CapabilitiesExchangeAnswer, own: tuple[Application, ...]
) -> frozenset[int]:
    """The ids both speak. Where and with which Vendor-Id the peer names an application does not matter (§5.3)."""
    named = {*theirs.auth_application_id, *theirs.acct_application_id}
    for group in theirs.vendor_specific_application_id:
        named.update(
            application_id
            for application_id in (group.auth_application_id, group.acct_application_id)
            if application_id is not None
        )
    ids = frozenset(application.id for application in own)
    return ids if RELAY_APPLICATION_ID in named else ids & named


def judge_cer(
    cer: CapabilitiesExchangeRequest, faults: list[AvpError], identity: Identity, own: tuple[Application, ...]
) -> Verdict:
    """Whether a CER may open a connection, as far as the CER alone can tell (§5.3, §5.3.1)."""
    if faults:
        fault = faults[0]
        return Verdict(fault.result_code, "bad-cer", fault.text, fault=fault)
    if not cer.origin_host or identity_key(cer.origin_host) == identity_key(identity.host):
        return Verdict(ResultCode.UNKNOWN_PEER, "unknown-peer", f"Origin-Host {cer.origin_host!r} cannot be a peer")
    # §6.10: an absent Inband-Security-Id means NO_INBAND_SECURITY, which is all that is offered here.
    if cer.inband_security_id and InbandSecurityId.NO_INBAND_SECURITY not in cer.inband_security_id:
        return Verdict(ResultCode.NO_COMMON_SECURITY, "no-common-security", "TLS after the CER is not offered")
    common = common_applications(cer, own)
    if not common:
        return Verdict(ResultCode.NO_COMMON_APPLICATION, "no-common-application", "no application in common")
    return Verdict(ResultCode.SUCCESS, applications=common)


def judge_cea(
    cea: CapabilitiesExchangeAnswer | ErrorAnswer,
    faults: list[AvpError],
    own: tuple[Application, ...],
    expected_host: str | None,
) -> Verdict:
    """Whether a CEA opens the connection that we asked for. `expected_host`: who has to have answered, if known."""
    if not ResultCode.SUCCESS <= cea.result_code < 3000 or isinstance(cea, ErrorAnswer):
        text = f"{cea.origin_host or 'the peer'} refused the connection with Result-Code {cea.result_code}"
        if cea.error_message:
            text += f" ({cea.error_message})"
        return Verdict(ResultCode.UNABLE_TO_COMPLY, "refused-by-peer", text)
    if faults:
        return Verdict(faults[0].result_code, "bad-cea", faults[0].text, fault=faults[0])
    if expected_host is not None and identity_key(cea.origin_host) != identity_key(expected_host):
        text = f"{cea.origin_host} answered where {expected_host} was expected"
        return Verdict(ResultCode.UNKNOWN_PEER, "unknown-peer", text)
    common = common_applications(cea, own)
    if not common:
        text = f"{cea.origin_host} has no application in common"
        return Verdict(ResultCode.NO_COMMON_APPLICATION, "no-common-application", text)
    return Verdict(ResultCode.SUCCESS, applications=common)


def _advertised(own: tuple[Application, ...]) -> dict[str, list[int] | list[VendorSpecificApplicationId]]:
    return {
        "auth_application_id": [application.id for application in own if not application.vendor_id],
        "vendor_specific_application_id": [
            VendorSpecificApplicationId(vendor_id=[application.vendor_id], auth_application_id=application.id)
            for application in own
            if application.vendor_id
        ],
        "supported_vendor_id": sorted({application.vendor_id for application in own} - {0}),
    }


def make_cer(identity: Identity, own: tuple[Application, ...], local_address: str) -> CapabilitiesExchangeRequest:
    """Our CER on a connection whose own end is `local_address` (§5.3.1)."""
    return CapabilitiesExchangeRequest(
        origin_host=identity.host,
        origin_realm=identity.realm,
        host_ip_address=list(identity.host_ip_addresses or (local_address,)),
        vendor_id=identity.vendor_id,
        product_name=identity.product_name,
        origin_state_id=identity.origin_state_id,
        firmware_revision=identity.firmware_revision,
        **_advertised(own),  # type: ignore[arg-type]
    )


def make_cea(
    cer: CapabilitiesExchangeRequest,
    verdict: Verdict,
    identity: Identity,
    own: tuple[Application, ...],
    local_address: str,
) -> Answer:
    """The CEA that tells a verdict (§5.3.2); a protocol error has the E bit's grammar (§7.2)."""
    if verdict.result_code.is_protocol_error:
        return error_answer(
            cer.header,
            cer,
            verdict.result_code,
            origin_host=identity.host,
            origin_realm=identity.realm,
            error_message=verdict.text or None,
        )
    failed = verdict.fault.failed_avp if verdict.fault else None
    return cer.answer(
        verdict.result_code,
        origin_host=identity.host,
        origin_realm=identity.realm,
        host_ip_address=list(identity.host_ip_addresses or (local_address,)),
        vendor_id=identity.vendor_id,
        product_name=identity.product_name,
        origin_state_id=identity.origin_state_id,
        firmware_revision=identity.firmware_revision,
        error_message=verdict.text or None,
        failed_avp=[FailedAvp(other=[failed])] if failed else [],
        **_advertised(own),
    )
