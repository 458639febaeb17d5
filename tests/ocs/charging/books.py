"""Accounts and sessions in memory, with everything that must hold after any decision checked after every decision.

What the tests of the charging core and of the Gy front have in common: `Books.carry_out` is `decide`, and an auditor
who looks at the state before, the state after and the receipt, and knows nothing of how they came about.
"""

import zlib
from collections import Counter
from collections.abc import Iterable

import msgspec

from ocs.charging.balance import prove
from ocs.charging.command import (
    Command,
    CommandRefused,
    CreateAccount,
    CreditControl,
    ExpireSession,
    RequestType,
    ServiceRequest,
)
from ocs.charging.decide import Decision, decide
from ocs.charging.receipt import Reason, Receipt, ServiceReceipt, Verdict
from ocs.charging.service import price_of
from ocs.charging.settings import Settings
from ocs.charging.state import (
    MAX_QUANTITY,
    Account,
    Answer,
    Bucket,
    ServiceUse,
    Session,
    SessionState,
    State,
    StoredAnswer,
    Subscriber,
)
from ocs.explain.words import sentence
from ocs.rating.catalogue import Catalogue, Unit
from ocs.rating.price import cost_micro

NOW = 1_800_000_000_000
"""A moment in 2027, in milliseconds."""

_encode = msgspec.json.encode


class Books:
    """A ledger without a store. One catalogue, any number of accounts."""

    def __init__(self, catalogue: Catalogue, settings: Settings | None = None) -> None:
        self.catalogue = catalogue
        self.settings = settings or Settings()
        self.accounts: dict[str, Account] = {}
        self.sessions: dict[tuple[str, str], Session] = {}
        self.receipts: list[Receipt] = []

    def open_account(self, name: str = "a", *identities: str, now: int = NOW) -> None:
        """An account with one subscriber, known by `identities` (`msisdn:49` if none is given)."""
        self.carry_out(CreateAccount(name, [Subscriber("s", list(identities) or ["msisdn:49"])]), now, name)

    def account_of(self, identity: str) -> str:
        """The account an identity belongs to; "" for none."""
        for name, account in self.accounts.items():
            if any(identity in subscriber.identities for subscriber in account.subscribers):
                return name
        return ""

    def state_for(self, command: Command, account: str = "a") -> State:
        session = command.session if isinstance(command, CreditControl | ExpireSession) else None
        return State(self.accounts.get(account), None if session is None else self.sessions.get((account, session)))

    def carry_out(self, command: Command, now: int = NOW, account: str = "a") -> Decision:
        """Decides, checks whatever can be checked, and keeps the new state. Raises CommandRefused."""
        before = self.state_for(command, account)
        frozen, asked = _encode(before), _encode(command)
        try:
            decision = decide(before, command, self.catalogue, now, self.settings)
        except CommandRefused:
            assert _encode(before) == frozen, "a refused command changed the state"
            raise
        assert _encode(before) == frozen, "the given state was changed"
        assert _encode(command) == asked, "the command was changed"
        self._check_again(before, command, now, decision)
        self._check(before, command, decision)
        after = decision.state
        if after.account is not None:
            self.accounts[account] = after.account
        if after.session is not None:
            self.sessions[account, after.session.id] = after.session
        if decision.receipt is not None:
            self.receipts.append(decision.receipt)
        if after.account is not None:
            check_account(after.account, [s for (name, _), s in self.sessions.items() if name == account])
        return decision

    def _check_again(self, before: State, command: Command, now: int, decision: Decision) -> None:
        """The same input gives the same output, also after a journey through JSON."""
        same = decide(before, command, self.catalogue, now, self.settings)
        assert same == decision, "not deterministic"
        stored = msgspec.json.decode(_encode(before), type=State)
        copied = msgspec.json.decode(_encode(command), type=type(command))
        from_store = decide(stored, copied, self.catalogue, now, self.settings)
        assert from_store == decision, "another decision on the state as it is stored"
        for value in (decision.state.account, decision.state.session, decision.receipt, decision.answer):
            if value is not None:
                assert msgspec.json.decode(_encode(value), type=type(value)) == value

    def _check(self, before: State, command: Command, decision: Decision) -> None:
        receipt, answer = decision.receipt, decision.answer
        if isinstance(command, CreditControl):
            assert answer is not None
            check_answer(command, answer)
        else:
            assert answer is None
        if receipt is None:
            assert decision.state is before, "a change without a receipt"
            return
        assert not decision.repeated
        text = sentence(receipt, "EUR")
        assert text.endswith(".")
        assert text.isprintable()
        if receipt.identity in ("", "msisdn:49"):
            assert not any(slip in text for slip in ("  ", ": .", "; .", "..", ": ;", "None")), text
        for line in receipt.services:
            self._check_line(line)
        if before.account is None and decision.state.account is None:
            assert decision.state == before
            return
        check_changes(before.account, decision.state.account, receipt)
        check_debits(receipt)
        if isinstance(command, CreditControl):
            assert answer is not None
            assert receipt.result_code == answer.result_code
        if decision.state.session is not None:
            self._check_session(before, decision.state.session, receipt)

    def _check_line(self, line: ServiceReceipt) -> None:
        in_units = sum(debit.amount for debit in line.debits if debit.unit is not Unit.MONEY)
        in_money = sum(debit.amount for debit in line.debits if debit.unit is Unit.MONEY)
        assert line.used == in_units + line.rated + line.uncharged, "used is not what was paid and what was not"
        assert line.cost_micro == in_money
        assert bool(line.price) or not line.rated
        assert min(line.used, line.uncharged, line.released, line.beyond_grant, line.rated, line.cost_micro) >= 0
        assert line.short_micro >= 0
        assert all(debit.amount > 0 for debit in line.debits + line.held)
        assert line.beyond_grant <= line.used
        assert not (line.released and line.beyond_grant)
        if line.reason in (Reason.GRANTED, Reason.LAST_UNITS):
            service = self.catalogue.services[line.service]
            assert 0 < line.granted <= min(line.wanted, service.quota.maximum_units)
            assert line.wanted >= service.quota.minimum_units
            held = sum(debit.amount for debit in line.held if debit.unit is not Unit.MONEY)
            assert line.granted == held + line.priced
            assert 1 <= line.validity_s <= service.quota.validity_s
            assert 0 <= line.threshold < line.granted
            assert not (line.threshold and line.reason is Reason.LAST_UNITS)
            assert (line.reason is Reason.GRANTED) == bool(line.available)
        elif line.reason is Reason.DEBITED:
            assert line.granted == line.wanted > 0
            assert not line.held
        else:
            assert not line.granted
            assert not line.held
        assert (line.result_code == 2001) == (line.reason in _GOOD) or line.result_code in (5002, 5030)

    def _check_session(self, before: State, session: Session, receipt: Receipt) -> None:
        account, was = before.account, before.session
        assert account is not None
        assert len(session.answers) <= self.settings.answers_kept
        flat = [number for pair in session.seen for number in pair]
        assert flat == sorted(flat)
        assert all(low[1] + 1 < high[0] for low, high in zip(session.seen, session.seen[1:], strict=False))
        moved = receipt.verdict not in (Verdict.NUMBER_REUSED, Verdict.ANSWER_FORGOTTEN)
        opened = receipt.kind in ("initial", "event") and moved
        earlier = {} if was is None or opened else was.services
        if moved:
            grown = _sums(session.services)
            grown.subtract(_sums(earlier))
            assert +grown == +_sums_of_lines(receipt, self.catalogue), "the session's sums are not those of its reports"
        for use in session.services.values():
            price = price_of(account, self.catalogue, use.service)
            assert use.rated + use.uncharged <= use.used <= MAX_QUANTITY
            if price is None:
                assert use.rated == use.charged_micro == use.priced == 0
            else:
                assert use.charged_micro == cost_micro(price, use.rated), "rounded otherwise than on the session's sum"


def _sums(services: dict[str, ServiceUse]) -> Counter[str]:
    """What each service of a session has used, by figure."""
    sums: Counter[str] = Counter()
    for key, use in services.items():
        sums[f"{key} used"] += use.used
        sums[f"{key} rated"] += use.rated
        sums[f"{key} cost"] += use.charged_micro
        sums[f"{key} uncharged"] += use.uncharged
    return sums


def _sums_of_lines(receipt: Receipt, catalogue: Catalogue) -> Counter[str]:
    sums: Counter[str] = Counter()
    for line in receipt.services:
        if line.service not in catalogue.services:
            continue
        key = "default" if line.rating_group is None else str(line.rating_group)
        if line.service_identifier is not None:
            key = f"{key}/{line.service_identifier}"
        sums[f"{key} used"] += line.used
        sums[f"{key} rated"] += line.rated
        sums[f"{key} cost"] += line.cost_micro
        sums[f"{key} uncharged"] += line.uncharged
    return sums


_GOOD = (Reason.GRANTED, Reason.LAST_UNITS, Reason.DEBITED, Reason.REPORT_ONLY, Reason.CLOSED)


def answers_of(session: Session) -> list[StoredAnswer]:
    """The answers that the session keeps."""
    return [msgspec.json.decode(kept, type=StoredAnswer) for kept in session.answers]


def check_account(account: Account, sessions: Iterable[Session]) -> None:
    """credited = left + held + spent + expired, for each bucket and in all; what is held is held by open sessions."""
    held: Counter[str] = Counter()
    for session in sessions:
        for use in session.services.values():
            if session.state is SessionState.CLOSED:
                assert not use.holds, f"the closed session {session.id} holds {use.holds}"
                assert not use.granted
                assert not use.priced
            assert 0 <= use.priced <= use.granted
            assert all(hold.amount > 0 for hold in use.holds)
            held.update({hold.bucket: hold.amount for hold in use.holds})
        assert (session.deadline > 0) == (session.state is SessionState.OPEN)
        assert (session.closed_at is None) == (session.state is SessionState.OPEN)
    for bucket in account.buckets:
        parts = (bucket.remaining, bucket.reserved, bucket.spent, bucket.expired)
        assert min(parts) >= 0, f"below zero: {bucket}"
        assert bucket.credited == sum(parts) <= MAX_QUANTITY, f"not in balance: {bucket}"
        assert bucket.reserved == held.pop(bucket.id, 0), f"held by no session, or by one that should not: {bucket}"
    assert not held, f"held of buckets that do not exist: {held}"
    assert len({bucket.id for bucket in account.buckets}) == len(account.buckets)
    assert all(proof.holds for proof in prove([account]).values())
    order = [(b.unit is Unit.MONEY, b.priority, b.expires_at or float("inf")) for b in account.buckets]
    assert order == sorted(order)


def check_changes(before: Account | None, after: Account | None, receipt: Receipt) -> None:
    """The receipt's changes are exactly the difference of the two accounts."""
    assert after is not None
    assert (receipt.account, receipt.version) == (after.id, after.version)
    assert after.version == (0 if before is None else before.version) + 1
    if before is None:
        assert not receipt.changes
        return
    changes = {change.bucket: change for change in receipt.changes}
    assert len(changes) == len(receipt.changes), "a bucket changed twice"
    old = {bucket.id: bucket for bucket in before.buckets}
    new = {bucket.id: bucket for bucket in after.buckets}
    for name in old.keys() | new.keys():
        was = old.get(name) or Bucket(name, new[name].unit)
        # A bucket that left the list was used up: all that can have happened to it is that its rest expired.
        ended = Bucket(name, was.unit, 0, 0, was.credited, was.spent, was.expired + was.remaining)
        now = new.get(name) or ended
        change = changes.pop(name, None)
        if change is None:
            assert _amounts(was) == _amounts(now), f"{name} changed without a word"
            continue
        assert change.unit is now.unit
        assert (change.remaining_before, change.reserved_before) == (was.remaining, was.reserved)
        assert (change.remaining, change.reserved) == (now.remaining, now.reserved)
        assert (change.spent, change.credited, change.expired) == (
            now.spent - was.spent,
            now.credited - was.credited,
            now.expired - was.expired,
        )
        assert min(change.spent, change.credited, change.expired) >= 0, f"taken back: {change}"
    assert not changes, f"buckets that do not exist: {changes}"
    left_list = [bucket for name, bucket in old.items() if name not in new]
    for unit in Unit:
        parts = [bucket for bucket in left_list if bucket.unit is unit]
        was_gone, is_gone = before.gone.get(unit), after.gone.get(unit)
        grown = (is_gone.credited if is_gone else 0) - (was_gone.credited if was_gone else 0)
        assert grown == sum(bucket.credited for bucket in parts), "sums of buckets that are gone were lost"


def _amounts(bucket: Bucket) -> tuple[int, ...]:
    return bucket.remaining, bucket.reserved, bucket.credited, bucket.spent, bucket.expired


def check_debits(receipt: Receipt) -> None:
    """What the services' lines say was paid is what the buckets lost."""
    paid: Counter[str] = Counter()
    for line in receipt.services:
        for debit in line.debits:
            paid[debit.bucket] += debit.amount
    spent = {change.bucket: change.spent for change in receipt.changes if change.spent}
    assert dict(paid) == spent


def check_answer(command: CreditControl, answer: Answer) -> None:
    """What must hold of any answer to a credit-control request, a repeated one included."""
    assert answer.multiple == command.multiple
    assert len(answer.services) in (0, len(command.services))
    for asked, given in zip(command.services, answer.services, strict=False):
        assert (asked.rating_group, asked.service_identifier) == (given.rating_group, given.service_identifier)
        if command.type is RequestType.TERMINATION or answer.result_code != 2001:
            assert given.granted is None
        if given.granted is None:
            assert (given.unit, given.validity_s, given.threshold) == (None, None, None)
            assert not given.final
        else:
            assert given.result_code == 2001
            assert given.granted > 0
            assert (given.validity_s is None) == (command.type is RequestType.EVENT)
            assert not (given.final and given.threshold)
    assert bool(answer.failed) == (answer.result_code in (5004, 5031))
    assert bool(answer.text) == (answer.result_code != 2001)


def credit_control(
    type_: RequestType | str,
    number: int,
    *services: ServiceRequest,
    session: str = "s1",
    context: str = "32251",
    identity: str = "msisdn:49",
    multiple: bool = True,
    apn: str | None = None,
) -> CreditControl:
    """A request as the gateway would hand it over, with its fingerprint."""
    return CreditControl(
        RequestType(type_),
        session,
        number,
        context,
        list(services),
        identity,
        multiple,
        zlib.crc32(_encode((type_, multiple, services))),
        "pgw.example.org",
        "example.org",
        apn,
    )
