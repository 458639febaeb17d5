"""Names of everything in the store. All keys of an account carry the same partition tag, so that one function call may
touch them together, on Redis Cluster too.

    {p07}:account:ID         JSON of the account
    {p07}:session:SESSION    JSON of a session, in its account's partition
    {p07}:deadlines          sorted set: "ACCOUNT SESSION" by the time (ms) at which the session is overdue
    {p07}:events             stream: receipts, field "e"
    {p41}:identity:KIND:VALUE    account id; in the identity's own partition
    {p41}:where:SESSION      account id; in the session id's own partition
    octroi                   JSON: how this installation is laid out
"""

import re
import zlib

INSTALLATION = "octroi"
ANY_ACCOUNT = "[{]p*[}]:account:*"
"""A pattern for the keys of all accounts. A client's Session-Id may look like it: compare with `Keys.account`."""

_ACCOUNT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+@-]{0,63}")


def is_account_id(text: str) -> bool:
    """Whether `text` may name an account: 1 to 64 letters, digits and . _ : + @ - ; no spaces, no braces."""
    return _ACCOUNT_ID.fullmatch(text) is not None


class Keys:
    """Keys of an installation with a fixed number of partitions."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._tags = [f"{{p{number:02d}}}" for number in range(partitions)]

    def partition_of(self, name: str) -> int:
        """The partition an account, identity or session id belongs to."""
        return zlib.crc32(name.encode()) % self.partitions

    def account(self, account: str) -> str:
        return f"{self._tags[self.partition_of(account)]}:account:{account}"

    def session(self, account: str, session: str) -> str:
        return f"{self._tags[self.partition_of(account)]}:session:{session}"

    def deadlines(self, partition: int) -> str:
        return f"{self._tags[partition]}:deadlines"

    def events(self, partition: int) -> str:
        return f"{self._tags[partition]}:events"

    def identity(self, identity: str) -> str:
        return f"{self._tags[self.partition_of(identity)]}:identity:{identity}"

    def where(self, session: str) -> str:
        return f"{self._tags[self.partition_of(session)]}:where:{session}"

    def position(self, partition: int, consumer: str) -> str:
        """Where a consumer of the partition's events stands: the id of the last event it is done with."""
        return f"{self._tags[partition]}:position:{consumer}"


def deadline_member(account: str, session: str) -> str:
    """How a session is named in the deadlines. Account ids have no spaces."""
    return f"{account} {session}"


def split_member(member: str) -> tuple[str, str]:
    """(account, session) of a deadline's name."""
    account, _, session = member.partition(" ")
    return account, session
