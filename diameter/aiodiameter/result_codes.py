"""Result-Code values (RFC 6733 §7.1, RFC 8506 §9) and what each class of them means."""

import enum


class ResultCode(enum.IntEnum):
    """A Result-Code AVP's value. The thousands digit is its class (RFC 6733 §7.1)."""

    SUCCESS = 2001
    LIMITED_SUCCESS = 2002

    COMMAND_UNSUPPORTED = 3001
    UNABLE_TO_DELIVER = 3002
    REALM_NOT_SERVED = 3003
    TOO_BUSY = 3004
    LOOP_DETECTED = 3005
    REDIRECT_INDICATION = 3006
    APPLICATION_UNSUPPORTED = 3007
    INVALID_HDR_BITS = 3008
    INVALID_AVP_BITS = 3009
    UNKNOWN_PEER = 3010

    AUTHENTICATION_REJECTED = 4001
    OUT_OF_SPACE = 4002
    ELECTION_LOST = 4003
    END_USER_SERVICE_DENIED = 4010
    CREDIT_CONTROL_NOT_APPLICABLE = 4011
    CREDIT_LIMIT_REACHED = 4012

    AVP_UNSUPPORTED = 5001
    UNKNOWN_SESSION_ID = 5002
    AUTHORIZATION_REJECTED = 5003
    INVALID_AVP_VALUE = 5004
    MISSING_AVP = 5005
    RESOURCES_EXCEEDED = 5006
    CONTRADICTING_AVPS = 5007
    AVP_NOT_ALLOWED = 5008
    AVP_OCCURS_TOO_MANY_TIMES = 5009
    NO_COMMON_APPLICATION = 5010
    UNSUPPORTED_VERSION = 5011
    UNABLE_TO_COMPLY = 5012
    INVALID_BIT_IN_HEADER = 5013
    INVALID_AVP_LENGTH = 5014
    INVALID_MESSAGE_LENGTH = 5015
    INVALID_AVP_BIT_COMBO = 5016
    NO_COMMON_SECURITY = 5017
    USER_UNKNOWN = 5030
    RATING_FAILED = 5031

    @property
    def is_success(self) -> bool:
        """2xxx: the request was carried out."""
        return 2000 <= self < 3000

    @property
    def is_protocol_error(self) -> bool:
        """3xxx: answered with the E bit and the answer-message grammar (§7.1.3, §7.2)."""
        return 3000 <= self < 4000

    @property
    def is_transient(self) -> bool:
        """4xxx: the same request may succeed later (§7.1.4)."""
        return 4000 <= self < 5000

    @property
    def is_permanent(self) -> bool:
        """5xxx: the same request will fail again (§7.1.5)."""
        return 5000 <= self < 6000

    @property
    def may_retry_elsewhere(self) -> bool:
        """Another peer may be tried at once (§7.1.3: 3002, 3004, 3005)."""
        return self in (ResultCode.UNABLE_TO_DELIVER, ResultCode.TOO_BUSY, ResultCode.LOOP_DETECTED)
