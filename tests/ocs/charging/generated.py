"""Random catalogues, and random histories of one account: requests in and out of order, repeated, late and senseless,
top-ups, purchases, blocks, timers, and a clock that sometimes goes backwards.
"""

from hypothesis import strategies as st
from msgspec import Struct

from ocs.charging.command import (
    BuyOffer,
    Command,
    CreditControl,
    CreditMoney,
    CreditUnits,
    ExpireSession,
    RequestType,
    ServiceRequest,
    SetStatus,
)
from ocs.charging.settings import Settings
from ocs.charging.state import AccountStatus, SessionState
from ocs.rating.catalogue import Allowance, Catalogue, Offer, Price, Quota, Service, Unit
from tests.ocs.charging.books import NOW, Books, credit_control

OFFERS = ("basic", "extra", "limits")
_SERVICES = {
    "internet": ("32251", 10, None, Unit.OCTETS),
    "updates": ("32251", 10, 7, Unit.OCTETS),
    "video": ("32251", 30, None, Unit.OCTETS),
    "voice": ("32260", 100, None, Unit.SECONDS),
    "sms": ("32274", 200, None, Unit.EVENTS),
}
_BY_UNIT = {
    unit: sorted(name for name, service in _SERVICES.items() if service[3] is unit)
    for unit in (Unit.OCTETS, Unit.SECONDS, Unit.EVENTS)
}
_GROUPS_OF = {
    "32251": (10, 10, 10, 30, 30, 30, None, 99),
    "32260": (100,),
    "32274": (200,),
    "32299": (10,),
}
_SESSIONS_OF = {"32251": ("d1", "d1", "d1", "d2"), "32260": ("v1",), "32274": ("e1",), "32299": ("d1",)}
"""Mostly a session stays with its context."""
_UNIT_OF = {"32251": "octets", "32260": "seconds", "32274": "events", "32299": "octets"}

small = st.integers(1, 40)


@st.composite
def services(draw: st.DrawFn, name: str) -> Service:
    context, rating_group, identifier, unit = _SERVICES[name]
    least, usual, most = sorted(draw(st.tuples(st.integers(0, 20), small, small)))
    quota = Quota(usual, most, least, draw(st.integers(1, 20)), draw(st.integers(0, 99)))
    return Service(name, context, rating_group, identifier, unit, quota)


@st.composite
def allowances(draw: st.DrawFn, offer: str, number: int) -> Allowance:
    unit = draw(st.sampled_from((Unit.OCTETS, Unit.OCTETS, Unit.SECONDS, Unit.EVENTS)))
    return Allowance(
        f"{offer}/a{number}",
        unit,
        draw(st.integers(1, 60)),
        frozenset(draw(st.sets(st.sampled_from(_BY_UNIT[unit]), min_size=1))),
        draw(st.sampled_from((1, 2, 3, 200))),
        draw(st.none() | st.integers(1, 30)),
    )


@st.composite
def offers(draw: st.DrawFn, name: str) -> Offer:
    given = tuple(draw(allowances(name, number)) for number in range(draw(st.integers(0, 3))))
    prices = {
        service: Price(f"{name}/{service}", service, _SERVICES[service][3], draw(small), draw(st.integers(0, 5)))
        for service in sorted(draw(st.sets(st.sampled_from(sorted(_SERVICES)), min_size=2)))
    }
    barred = draw(st.sets(st.sampled_from(sorted(_SERVICES)), max_size=1)) if name == "limits" else set()
    return Offer(name, name, 0, given, prices, frozenset(barred))


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    """A catalogue of small numbers, so that everything runs out soon."""
    defaults: dict[tuple[str, str | None], int] = {}
    if draw(st.integers(0, 3)):
        defaults = {("32251", None): 10, ("32251", "ims"): 30}
    return Catalogue(
        "v1",
        "EUR",
        978,
        2,
        {name: draw(services(name)) for name in _SERVICES},
        {name: draw(offers(name)) for name in OFFERS},
        defaults,
    )


class Step(Struct, frozen=True):
    """What happens next, before it is known what number comes next and what there is to repeat."""

    kind: str
    elapsed_ms: int
    session: str = "s1"
    type: str = ""
    skip: int = 0
    services: tuple[ServiceRequest, ...] = ()
    context: str = "32251"
    multiple: bool = True
    amount: int = 0
    name: str = ""
    units: Unit = Unit.OCTETS


def _amounts(unit: str) -> st.SearchStrategy[dict[str, int]]:
    """Mostly one amount in the unit that is meant, sometimes in another one, in two, or in none."""
    usual = st.builds(lambda amount: {unit: amount}, st.integers(0, 50))
    odd = st.dictionaries(st.sampled_from(("octets", "seconds", "events")), st.integers(0, 50), max_size=2)
    return st.one_of(usual, usual, usual, odd)


def _requests(context: str) -> st.SearchStrategy[ServiceRequest]:
    amounts = _amounts(_UNIT_OF[context])
    nothing_named = st.dictionaries(st.just("octets"), st.just(0), max_size=0)
    return st.builds(
        ServiceRequest,
        st.sampled_from(_GROUPS_OF[context]),
        st.sampled_from((None, None, None, None, 7, 8)),
        st.one_of(nothing_named, amounts, amounts, st.none()),
        st.one_of(amounts, amounts, st.none()),
        st.sampled_from((False,) * 7 + (True,)),
        st.none(),
    )


_BY_CONTEXT = {context: st.lists(_requests(context), max_size=3).map(tuple) for context in _GROUPS_OF}
_CONTEXTS = ("32251",) * 6 + ("32260", "32274", "32274", "32299")


@st.composite
def _asks(draw: st.DrawFn) -> Step:
    context = draw(st.sampled_from(_CONTEXTS))
    return Step(
        "ask",
        draw(_elapsed),
        draw(st.sampled_from(_SESSIONS_OF[context])),
        draw(st.sampled_from(("",) * 12 + ("initial", "update", "termination", "termination", "event", "event"))),
        draw(st.sampled_from((0,) * 12 + (1, 5, -1, -2))),
        draw(_BY_CONTEXT[context]),
        context,
        draw(st.sampled_from((True, True, True, False))),
    )


_elapsed = st.sampled_from((0, 0, 0, 1, 500, 1000, 3000, 10_000, 60_000, -2000, -30_000))
_sessions = st.sampled_from(("d1", "d1", "d2", "v1", "e1"))
_kinds = ("repeat",) * 4 + ("expire",) * 2 + ("money",) * 3 + ("units",) * 3 + ("buy",) * 4 + ("unblock",) * 2
_others = st.builds(
    Step,
    st.sampled_from((*_kinds, "block", "stranger")),
    _elapsed,
    _sessions,
    amount=st.integers(0, 60),
    name=st.sampled_from(OFFERS),
    units=st.sampled_from((Unit.OCTETS, Unit.SECONDS, Unit.EVENTS)),
)
histories = st.lists(st.one_of(_asks(), _asks(), _asks(), _others), min_size=8, max_size=30)
settings_of_core = st.builds(Settings, st.integers(0, 5), st.integers(1, 20), st.integers(1, 4))


class History:
    """Carries steps out on an account `a` of `books`; an account `b` that belongs to nobody stays as it is."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.now = NOW
        self.asked: list[CreditControl] = []
        self._credits: list[Command] = []
        books.open_account("a")
        books.carry_out(BuyOffer("first", "basic"), self.now)
        books.carry_out(CreditMoney("start", 100), self.now)

    def carry_out(self, step: Step) -> None:
        self.now += step.elapsed_ms
        command = self.command_of(step)
        if command is None:
            return
        if isinstance(command, CreditControl):
            if step.kind == "stranger":
                command.identity = "msisdn:1"
                self.books.carry_out(command, self.now, account="")
                return
            self.asked.append(command)
        self.books.carry_out(command, self.now)

    def command_of(self, step: Step) -> Command | None:
        """None: there is nothing to repeat."""
        match step.kind:
            case "ask":
                return self._request(step)
            case "repeat" | "stranger":
                return self.asked[step.amount % len(self.asked)] if self.asked else None
            case "expire":
                return ExpireSession(step.session)
            case "money" | "units" | "buy":
                # Mostly a new one; one in six is the one before, once more.
                if step.amount % 6 or not self._credits:
                    self._credits.append(self._credit(step))
                return self._credits[-1]
            case _:
                return SetStatus(AccountStatus.BLOCKED if step.kind == "block" else AccountStatus.ACTIVE)

    def _credit(self, step: Step) -> Command:
        name = f"c{len(self._credits)}"
        if step.kind == "money":
            return CreditMoney(name, step.amount + 1)
        if step.kind == "buy":
            return BuyOffer(name, step.name)
        services = _BY_UNIT[step.units][: step.amount % 2 + 1]
        return CreditUnits(name, step.units, step.amount + 1, services, step.amount or None)

    def _request(self, step: Step) -> CreditControl:
        session = self.books.sessions.get(("a", step.session))
        type_ = step.type
        if not type_:
            type_ = "initial" if session is None or session.state is SessionState.CLOSED else "update"
        number = 0 if session is None or not session.seen else session.seen[-1][1] + 1
        multiple = step.multiple or len(step.services) != 1
        return credit_control(
            RequestType(type_),
            max(0, number + step.skip),
            *step.services,
            session=step.session,
            context=step.context,
            multiple=multiple,
        )
