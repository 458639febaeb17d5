"""Credit-control sessions (RFC 8506 §7): opening, updating, closing, supervision, one-time events, repetitions.

The request's services are settled first, all of them, and only then is anything granted: what one service gives back
another may be granted.
"""

import enum

from msgspec import Raw, Struct, json

from ocs.rating.catalogue import Catalogue, Price, Service, Unit

from . import service as services
from .command import CreditControl, RequestType, ServiceRequest
from .receipt import Reason, Receipt, ServiceReceipt, Verdict
from .settings import Settings
from .state import (
    MAX_QUANTITY,
    Account,
    AccountStatus,
    Answer,
    ServiceAnswer,
    ServiceUse,
    Session,
    SessionState,
    State,
    StoredAnswer,
    duplicate,
)


class Code(enum.IntEnum):
    """The Result-Codes that charging gives (RFC 6733 §7.1, RFC 8506 §9)."""

    SUCCESS = 2001
    END_USER_SERVICE_DENIED = 4010
    CREDIT_LIMIT_REACHED = 4012
    UNKNOWN_SESSION_ID = 5002
    INVALID_AVP_VALUE = 5004
    UNABLE_TO_COMPLY = 5012
    USER_UNKNOWN = 5030
    RATING_FAILED = 5031


_encode = json.Encoder().encode
_decode_answer = json.Decoder(StoredAnswer).decode

_CODE_OF = {
    Reason.GRANTED: Code.SUCCESS,
    Reason.LAST_UNITS: Code.SUCCESS,
    Reason.DEBITED: Code.SUCCESS,
    Reason.REPORT_ONLY: Code.SUCCESS,
    Reason.CLOSED: Code.SUCCESS,
    Reason.CREDIT_LIMIT: Code.CREDIT_LIMIT_REACHED,
    Reason.NOT_IN_PLAN: Code.END_USER_SERVICE_DENIED,
    Reason.BARRED: Code.END_USER_SERVICE_DENIED,
    Reason.BLOCKED: Code.END_USER_SERVICE_DENIED,
    Reason.UNKNOWN_SERVICE: Code.RATING_FAILED,
}


def repetition(session: Session, command: CreditControl) -> Answer | None:
    """The answer to a request that was processed before, or None for a new one.

    The number alone tells (RFC 8506 §8.2); the T flag is no more than a hint. Another request under a number that was
    used is refused with 5004 and charged nothing (`handle` does that, so that it leaves a receipt).
    """
    stored = _stored_answer(session, command.number)
    return stored.answer if stored is not None and stored.fingerprint == command.fingerprint else None


def is_overdue(session: Session | None, now: int) -> bool:
    """Whether the supervision timer of an open session has run out."""
    return session is not None and session.state is SessionState.OPEN and session.deadline <= now


def unknown_subscriber(state: State, command: CreditControl, catalogue: Catalogue, now: int) -> tuple[Answer, Receipt]:
    """5030: no account belongs to any identity of the request. Nothing is kept. A later request may leave the identity
    out; if its session does not tell either, it is the session that is unknown.
    """
    receipt = _receipt_of(command, catalogue, now)
    if not command.identity and command.type in (RequestType.UPDATE, RequestType.TERMINATION):
        _, answer, receipt = _unknown_session(command, catalogue, receipt)
        return answer, receipt
    receipt.result_code, receipt.verdict = Code.USER_UNKNOWN, Verdict.UNKNOWN_SUBSCRIBER
    for request in command.services:
        if request.used is not None:
            receipt.services.append(_lost(command, request, catalogue, Code.USER_UNKNOWN))
    text = "no account has this Subscription-Id" if command.identity else "the request names no subscriber"
    return Answer(Code.USER_UNKNOWN, multiple=command.multiple, text=text), receipt


class _Item(Struct, gc=False):
    """A service of the request while it is worked on."""

    request: ServiceRequest
    service: Service | None
    key: str
    use: ServiceUse | None
    receipt: ServiceReceipt
    price: Price | None = None
    reason: Reason | None = None


def handle(
    account: Account,
    session: Session | None,
    command: CreditControl,
    catalogue: Catalogue,
    now: int,
    settings: Settings,
) -> tuple[Session | None, Answer, Receipt]:
    """Carries a request out on `account` (a working copy). Returns the session as it is then."""
    receipt = _receipt_of(command, catalogue, now)
    receipt.subscriber = _subscriber_of(account, command)
    if session is not None and _was_seen(session, command.number):
        return _number_reused(session, command, receipt)
    if session is None and command.type in (RequestType.UPDATE, RequestType.TERMINATION):
        return _unknown_session(command, catalogue, receipt)

    opens = command.type in (RequestType.INITIAL, RequestType.EVENT)
    late = not opens and session is not None and session.state is SessionState.CLOSED
    session = _open(account, session, command, catalogue, now, receipt) if opens else _copy(session)
    items = [_item(account, session, command, request, catalogue) for request in command.services]
    if len(items) > 1 and len({item.key for item in items}) < len(items):
        _join_reports(items)
    for item in items:
        _settle(account, item, catalogue, now)

    ends = command.type in (RequestType.TERMINATION, RequestType.EVENT) or late
    if command.type is RequestType.EVENT:
        _debit_event(account, items, catalogue)
    elif not ends:
        _grant(account, items, catalogue, now)
    answer = _answer(account, command, items, catalogue, receipt, late)
    if opens and command.type is RequestType.INITIAL and answer.result_code != Code.SUCCESS:
        ends = True
    elif not command.multiple and command.type is RequestType.UPDATE and answer.result_code != Code.SUCCESS:
        ends = True  # RFC 8506 Table 6: an update that is refused as a whole leaves the session idle
    elif account.status is AccountStatus.BLOCKED:
        ends = True
    if ends and session.state is SessionState.OPEN:
        _close(account, session, catalogue, now, receipt)
        receipt.closes = True
    receipt.services = [item.receipt for item in items] + receipt.services
    if session.state is SessionState.OPEN:
        session.deadline = _deadline(session, items, now, settings)
    _remember(session, command, answer, settings)
    receipt.opened_at, receipt.about = session.opened_at, session.about
    return session, answer, receipt


def expire_session(account: Account, session: Session, catalogue: Catalogue, now: int) -> tuple[Session, Receipt]:
    """Closes a session of which nothing was heard in time and gives back what it held (RFC 8506 §5.7)."""
    session = _copy(session)
    receipt = Receipt(
        account.id, 0, now, "expiry", catalogue.id, verdict=Verdict.OVERDUE, session=session.id,
        context=session.context, subscriber=session.subscriber, peer=session.peer, opened_at=session.opened_at,
        closes=True, about=session.about,
    )  # fmt: skip
    _close(account, session, catalogue, now, receipt)
    return session, receipt


# --- parts of a request ---------------------------------------------------------------------------------------------


def _receipt_of(command: CreditControl, catalogue: Catalogue, now: int) -> Receipt:
    return Receipt(
        "", 0, now, command.type, catalogue.id, Code.SUCCESS, session=command.session, number=command.number,
        context=command.context, identity=command.identity, peer=command.peer, cause=command.cause, about=command.about,
    )  # fmt: skip


def _subscriber_of(account: Account, command: CreditControl) -> str:
    for subscriber in account.subscribers:
        if command.identity in subscriber.identities:
            return subscriber.id
    return account.subscribers[0].id if len(account.subscribers) == 1 else ""


def _was_seen(session: Session, number: int) -> bool:
    return any(first <= number <= last for first, last in session.seen)


def _stored_answer(session: Session, number: int) -> StoredAnswer | None:
    """What was answered to the request of that number, if it is still kept."""
    if _was_seen(session, number):
        for kept in session.answers:
            stored = _decode_answer(kept)
            if stored.number == number:
                return stored
    return None


def _number_reused(session: Session, command: CreditControl, receipt: Receipt) -> tuple[Session, Answer, Receipt]:
    """The number was processed, and either the answer is forgotten or the content is another. Charges nothing."""
    if _stored_answer(session, command.number) is not None:
        receipt.verdict, receipt.result_code = Verdict.NUMBER_REUSED, Code.INVALID_AVP_VALUE
        text = "this CC-Request-Number was used for another request of the session"
        answer = Answer(Code.INVALID_AVP_VALUE, multiple=command.multiple, failed="CC-Request-Number", text=text)
    else:
        receipt.verdict, receipt.result_code = Verdict.ANSWER_FORGOTTEN, Code.UNABLE_TO_COMPLY
        text = "this CC-Request-Number was answered long ago; nothing was charged again"
        answer = Answer(Code.UNABLE_TO_COMPLY, multiple=command.multiple, text=text)
    return session, answer, receipt


def _unknown_session(command: CreditControl, catalogue: Catalogue, receipt: Receipt) -> tuple[None, Answer, Receipt]:
    """5002. What it reports cannot be charged safely, since nothing would recognise its repetition; it is on record."""
    receipt.verdict, receipt.result_code = Verdict.UNKNOWN_SESSION, Code.UNKNOWN_SESSION_ID
    for request in command.services:
        if request.used is not None:
            receipt.services.append(_lost(command, request, catalogue, Code.UNKNOWN_SESSION_ID))
    text = "no session has this Session-Id"
    return None, Answer(Code.UNKNOWN_SESSION_ID, multiple=command.multiple, text=text), receipt


def _lost(command: CreditControl, request: ServiceRequest, catalogue: Catalogue, code: Code) -> ServiceReceipt:
    """What a request reports that nobody can be charged for."""
    service = catalogue.service_for(command.context, request.rating_group, request.service_identifier, command.apn)
    unit = service.unit if service is not None else Unit.OCTETS
    used = (request.used or {}).get(unit, 0)
    return ServiceReceipt(
        service.name if service is not None else _named(request), code, Reason.REPORT_ONLY, request.rating_group,
        request.service_identifier, unit, reported=True, used=used, uncharged=used,
    )  # fmt: skip


def _named(request: ServiceRequest) -> str:
    if request.rating_group is None:
        return "no rating group"
    suffix = "" if request.service_identifier is None else f", service identifier {request.service_identifier}"
    return f"rating group {request.rating_group}{suffix}"


def _open(
    account: Account, old: Session | None, command: CreditControl, catalogue: Catalogue, now: int, receipt: Receipt
) -> Session:
    """A new session. An open one of the same id is closed first: never two reservations for one session."""
    answers: list[Raw] = []
    seen: list[list[int]] = []
    if old is not None:
        old = _copy(old)
        if old.state is SessionState.OPEN:
            _close(account, old, catalogue, now, receipt)
        answers, seen = old.answers, old.seen
    return Session(
        command.session, account.id, receipt.subscriber, command.context, SessionState.OPEN, now, command.peer,
        command.realm, answers=answers, seen=seen, about=command.about,
    )  # fmt: skip


def _copy(session: Session | None) -> Session:
    assert session is not None
    session = duplicate(session)
    session.services = {key: duplicate(use) for key, use in session.services.items()}
    return session


def _key(request: ServiceRequest) -> str:
    rating_group = "default" if request.rating_group is None else str(request.rating_group)
    return rating_group if request.service_identifier is None else f"{rating_group}/{request.service_identifier}"


def _item(
    account: Account, session: Session, command: CreditControl, request: ServiceRequest, catalogue: Catalogue
) -> _Item:
    # What opened the session says where it runs: later requests need not repeat it, and cannot change it.
    apn = session.about.get("apn", command.apn)
    service = catalogue.service_for(session.context, request.rating_group, request.service_identifier, apn)
    key = _key(request)
    use = session.services.get(key)
    if use is None and service is not None:
        use = ServiceUse(service.name, service.unit, request.rating_group, request.service_identifier)
        session.services[key] = use
    name = use.service if use is not None else _named(request)
    receipt = ServiceReceipt(
        name, Code.SUCCESS, Reason.REPORT_ONLY, request.rating_group, request.service_identifier,
        use.unit if use is not None else None, request.reporting_reason, request.used is not None,
    )  # fmt: skip
    return _Item(request, service, key, use, receipt)


def _join_reports(items: list[_Item]) -> None:
    """A service that the request names more than once is settled once, on the sum: the first report would give back
    what the second one needs.
    """
    first_of: dict[str, _Item] = {}
    for item in items:
        first = first_of.setdefault(item.key, item)
        if first is item or item.request.used is None:
            continue
        used = dict(first.request.used or {})
        for unit, amount in item.request.used.items():
            used[unit] = used.get(unit, 0) + amount
        first.request, item.request = duplicate(first.request), duplicate(item.request)
        first.request.used, item.request.used = used, None
        first.receipt.reported, item.receipt.reported = True, False


def _settle(account: Account, item: _Item, catalogue: Catalogue, now: int) -> None:
    """Pays what the request reports. Quota is void once it is reported on, used up or not, and once new is asked for
    (TS 32.299 §7.2.175).
    """
    request, use, receipt = item.request, item.use, item.receipt
    if use is None:
        if request.used is not None:
            receipt.unit = Unit.OCTETS
            receipt.used = receipt.uncharged = request.used.get(Unit.OCTETS, 0)
            receipt.not_counted = {unit: n for unit, n in request.used.items() if unit != Unit.OCTETS and n}
        return
    if request.used is None and request.requested is None and not request.final:
        return
    used = 0
    if request.used is not None:
        used = request.used.get(use.unit, 0)
        if use.unit not in request.used:
            receipt.not_counted = {unit: n for unit, n in request.used.items() if n}
        elif used > MAX_QUANTITY - use.used:
            receipt.not_counted = {use.unit: used - (MAX_QUANTITY - use.used)}
            used = MAX_QUANTITY - use.used
    item.price = services.price_of(account, catalogue, use.service)
    services.settle(account, use, used, item.price, now, receipt)
    receipt.used_in_session = use.used


def _refusal(account: Account, item: _Item, catalogue: Catalogue) -> Reason | None:
    """Why the service may not be used at all, whatever the balance."""
    if item.service is None:
        return Reason.UNKNOWN_SERVICE
    if account.status is AccountStatus.BLOCKED:
        return Reason.BLOCKED
    if services.is_barred(account, catalogue, item.service.name):
        return Reason.BARRED
    if not services.is_in_plan(account, catalogue, item.service.name):
        return Reason.NOT_IN_PLAN
    return None


def _grant(account: Account, items: list[_Item], catalogue: Catalogue, now: int) -> None:
    for item in items:
        request, service, use, receipt = item.request, item.service, item.use, item.receipt
        if request.final:
            item.reason = Reason.CLOSED
        elif use is not None and use.granted:
            item.reason = Reason.REPORT_ONLY  # the service was named before in this request and has its quota
        elif request.requested is None:
            item.reason = Reason.REPORT_ONLY if service is not None else Reason.UNKNOWN_SERVICE
        else:
            item.reason = _refusal(account, item, catalogue)
            if item.reason is not None:
                continue
            assert service is not None
            assert use is not None
            quota = service.quota
            asked = request.requested.get(service.unit, 0) or quota.default_units
            receipt.wanted = max(quota.minimum_units, min(asked, quota.maximum_units))
            granted = services.grant(account, use, service, receipt.wanted, item.price, now, receipt)
            if not granted:
                item.reason = Reason.CREDIT_LIMIT
            elif receipt.available:
                item.reason = Reason.GRANTED
                receipt.threshold = granted * quota.threshold_percent // 100
            else:
                item.reason = Reason.LAST_UNITS


def _debit_event(account: Account, items: list[_Item], catalogue: Catalogue) -> None:
    """Direct debiting (RFC 8506 §6.3): the whole amount at once, or nothing."""
    for item in items:
        if item.request.requested is None and item.request.used is not None:
            item.reason = Reason.REPORT_ONLY  # it has happened already, and is paid as a report
            continue
        item.reason = _refusal(account, item, catalogue)
        if item.reason is not None:
            continue
        service, use, receipt = item.service, item.use, item.receipt
        assert service is not None
        assert use is not None
        receipt.wanted = (item.request.requested or {}).get(service.unit, 0) or 1
        price = services.price_of(account, catalogue, service.name)
        if services.debit_whole(account, use, receipt.wanted, price, receipt):
            item.reason = Reason.DEBITED
        else:
            item.reason = Reason.CREDIT_LIMIT


def _answer(
    account: Account, command: CreditControl, items: list[_Item], catalogue: Catalogue, receipt: Receipt, late: bool
) -> Answer:
    """The answer from what happened to the services. A command-level refusal overrides every service at the client
    (RFC 8506 §5.1.2), so one is given only where no service may go on.
    """
    for item in items:
        item.reason = item.reason or (Reason.CLOSED if command.type is RequestType.TERMINATION else Reason.REPORT_ONLY)
        item.receipt.reason = item.reason
        item.receipt.result_code = _CODE_OF[item.reason]
    answers = [_service_answer(command, item) for item in items]
    answer = Answer(Code.SUCCESS, answers, command.multiple)
    if late:
        receipt.verdict = Verdict.SESSION_WAS_CLOSED
        answer = Answer(Code.UNKNOWN_SESSION_ID, multiple=command.multiple, text="the session was closed before")
    elif command.type is RequestType.TERMINATION:
        pass  # what a termination reports is taken in any case, and the client ends in any case
    elif account.status is AccountStatus.BLOCKED:
        receipt.verdict = Verdict.BLOCKED
        answer = Answer(Code.END_USER_SERVICE_DENIED, multiple=command.multiple, text="the account is blocked")
    elif items and (command.type is not RequestType.UPDATE or not command.multiple):
        refused = [item for item in items if item.receipt.result_code != Code.SUCCESS]
        if len(refused) == len(items):
            receipt.verdict = Verdict.ALL_REFUSED
            first = refused[0].receipt
            answer = Answer(first.result_code, answers, command.multiple, "", _refusal_text(first))
            if first.result_code == Code.RATING_FAILED:
                answer.failed = "Rating-Group" if catalogue.has_context(command.context) else "Service-Context-Id"
    elif not items and command.type is not RequestType.UPDATE and not catalogue.has_context(command.context):
        receipt.verdict = Verdict.UNKNOWN_CONTEXT
        text = f"the catalogue has no service of context {command.context}"
        answer = Answer(Code.RATING_FAILED, multiple=command.multiple, failed="Service-Context-Id", text=text)
    receipt.result_code = answer.result_code
    return answer


def _refusal_text(receipt: ServiceReceipt) -> str:
    return {
        Reason.CREDIT_LIMIT: f"nothing is left that pays for {receipt.service}",
        Reason.NOT_IN_PLAN: f"{receipt.service} is in no offer of the account",
        Reason.BARRED: f"{receipt.service} is barred",
        Reason.UNKNOWN_SERVICE: f"the catalogue has no service for {receipt.service}",
    }.get(receipt.reason, "")


def _service_answer(command: CreditControl, item: _Item) -> ServiceAnswer:
    receipt, request = item.receipt, item.request
    answer = ServiceAnswer(receipt.result_code, request.rating_group, request.service_identifier)
    if receipt.granted:
        answer.unit, answer.granted = receipt.unit, receipt.granted
        if command.type is not RequestType.EVENT:
            answer.validity_s, answer.threshold = receipt.validity_s, receipt.threshold or None
            answer.final = receipt.reason is Reason.LAST_UNITS
    return answer


def _close(account: Account, session: Session, catalogue: Catalogue, now: int, receipt: Receipt) -> None:
    """Gives back what the session's services hold; each that held something gets a line in the receipt."""
    for use in session.services.values():
        if not use.holds and not use.granted:
            continue
        line = ServiceReceipt(
            use.service, Code.SUCCESS, Reason.CLOSED, use.rating_group, use.service_identifier, use.unit
        )
        services.settle(account, use, 0, services.price_of(account, catalogue, use.service), now, line)
        line.used_in_session = use.used
        receipt.services.append(line)
    session.state, session.closed_at, session.deadline = SessionState.CLOSED, now, 0


def _deadline(session: Session, items: list[_Item], now: int, settings: Settings) -> int:
    """When the session counts as lost: when the last of what it holds does, and much later if it holds nothing."""
    for item in items:
        if item.use is not None and item.receipt.validity_s:
            item.use.supervised_until = now + (2 * item.receipt.validity_s + settings.session_grace_s) * 1000
    deadlines = [use.supervised_until for use in session.services.values() if use.granted]
    if not deadlines:
        return now + settings.idle_session_s * 1000
    return max(*deadlines, now + settings.session_grace_s * 1000)  # late, but heard of


def _remember(session: Session, command: CreditControl, answer: Answer, settings: Settings) -> None:
    stored = Raw(_encode(StoredAnswer(command.number, command.fingerprint, answer)))
    session.answers = [*session.answers, stored]
    if len(session.answers) > settings.answers_kept:
        session.answers = session.answers[-settings.answers_kept :]
    session.seen = _with_number(session.seen, command.number)


_RANGES_KEPT = 32
"""A client that leaves numbers out makes a new range with each request; those it left out longest ago count as used."""


def _with_number(ranges: list[list[int]], number: int) -> list[list[int]]:
    """`ranges` with `number` in it, neighbours joined."""
    if ranges and ranges[-1][1] == number - 1:
        return [*ranges[:-1], [ranges[-1][0], number]]
    merged: list[list[int]] = []
    for first, last in sorted([*ranges, [number, number]]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = [merged[-1][0], max(last, merged[-1][1])]
        else:
            merged.append([first, last])
    if len(merged) > _RANGES_KEPT:
        merged[:2] = [[merged[0][0], merged[1][1]]]
    return merged
