"""A request that waits for its answer, and how it is repeated. Refuses to know when."""

import msgspec

from aiodiameter.header import FLAG_RETRANSMITTED
from aiodiameter.messages.credit_control import CreditControlRequest

from .service import Report


class Pending(msgspec.Struct):
    """One request under way."""

    request: CreditControlRequest
    reports: list[Report]
    deadline: float | None
    """When Tx expires; None: it is not supervised."""
    tries: int = 1

    def repeat(self, deadline: float | None) -> CreditControlRequest:
        """The same request with the T flag (RFC 6733 §3): a copy, since the first one may still be in the sender's
        hands. Its End-to-End Identifier stays.
        """
        self.tries += 1
        self.deadline = deadline
        header = self.request.header
        return msgspec.structs.replace(
            self.request, header=msgspec.structs.replace(header, flags=header.flags | FLAG_RETRANSMITTED)
        )
