"""The front from octets to octets: sessions as gateways have them, repetitions, refusals, a store that is away, and
requests that no gateway should send.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from aiodiameter.codec import encode
from aiodiameter.header import FLAG_ERROR
from aiodiameter.message import ErrorAnswer
from aiodiameter.messages.credit_control import (
    CcRequestType,
    CreditControlAnswer,
    CreditControlRequest,
    FailureHandling,
    GrantedServiceUnit,
    MultipleServicesCreditControl,
    RequestedAction,
    RequestedServiceUnit,
    SubscriptionId,
    SubscriptionIdType,
    UsedServiceUnit,
)
from aiodiameter.result_codes import ResultCode
from ocs.charging.command import BuyOffer, CreditMoney, ExpireSession, SetStatus
from ocs.charging.state import AccountStatus
from ocs.store.work import StoreUnavailable
from tests.ocs.charging.books import Books
from tests.ocs.charging.samples import CATALOGUE
from tests.ocs.gateway.front import (
    EVENT,
    INITIAL,
    REGISTRY,
    TERMINATION,
    UPDATE,
    Gateway,
    ccr,
    gateway,
    mscc,
    msisdn,
)


def charged_books() -> Books:
    """Account `a` of 49 with 1.00 and the offer basic: 0.0001 for 100 octets."""
    books = Books(CATALOGUE)
    books.open_account("a", "msisdn:49", "imsi:1")
    books.carry_out(BuyOffer("b", "basic"))
    books.carry_out(CreditMoney("t", 1_000_000))
    return books


@pytest.fixture
def pgw() -> Iterator[Gateway]:
    with gateway(charged_books()) as front:
        yield front


def main_of(pgw: Gateway) -> tuple[int, int, int]:
    """Left, held and spent of the money."""
    (main,) = [bucket for bucket in pgw.books.accounts["a"].buckets if bucket.id == "main"]
    return main.remaining, main.reserved, main.spent


def blocks(*services: MultipleServicesCreditControl) -> dict[str, Any]:
    return {"multiple_services_credit_control": list(services)}


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_from_attach_to_detach(pgw: Gateway) -> None:
    first = pgw.ask(ccr(multiple_services_indicator=1, **blocks(mscc(10, asks=1000), mscc(20))))
    assert first.result_code == 2001
    assert [
        (b.rating_group, b.granted_service_unit, b.validity_time) for b in first.multiple_services_credit_control
    ] == [
        (10, GrantedServiceUnit(cc_total_octets=1000), 600),
        (20, GrantedServiceUnit(cc_total_octets=1000), 600),
    ]
    assert main_of(pgw) == (999_000, 1000, 0)
    pgw.ask(ccr(UPDATE, 1, **blocks(mscc(10, used=950, asks=500))))
    assert main_of(pgw) == (998_500, 500, 1000)
    last = pgw.ask(ccr(TERMINATION, 2, termination_cause=1, **blocks(mscc(10, used=100, asks=None))))
    assert last.result_code == 2001
    assert last.multiple_services_credit_control[0].granted_service_unit is None
    assert main_of(pgw) == (998_900, 0, 1100)


def open5gs(type_: CcRequestType, number: int, *reports: UsedServiceUnit, asks: bool = True) -> CreditControlRequest:
    """What Open5GS 2.7 sends: Requested-Action in a session, MSI 0 with MSCC, no rating group."""
    block = MultipleServicesCreditControl(used_service_unit=list(reports))
    if asks:
        block.requested_service_unit = RequestedServiceUnit(cc_total_octets=1_000_000)
    imsi = SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_IMSI, subscription_id_data="1")
    return ccr(
        type_,
        number,
        session_id="smf.localdomain;1784000000;1;app_gy",
        requested_action=RequestedAction.DIRECT_DEBITING,
        multiple_services_indicator=0 if type_ is INITIAL else None,
        subscription_id=[imsi, msisdn("+49")],
        multiple_services_credit_control=[block],
    )


def test_open5gs_is_charged_for_its_octets_and_not_for_its_clock(pgw: Gateway) -> None:
    """Octets come as input and output; CC-Time is seconds since 1970 where no time was granted."""
    first = pgw.ask(open5gs(INITIAL, 0))
    (block,) = first.multiple_services_credit_control
    assert (block.rating_group, block.granted_service_unit) == (None, GrantedServiceUnit(cc_total_octets=5000))
    assert block.validity_time == 600
    usage = UsedServiceUnit(reporting_reason=3, cc_time=1_800_000_000, cc_input_octets=1200, cc_output_octets=3800)
    second = pgw.ask(open5gs(UPDATE, 1, usage))
    assert second.multiple_services_credit_control[0].granted_service_unit is not None
    assert main_of(pgw) == (990_000, 5000, 5000)
    last = pgw.ask(
        open5gs(TERMINATION, 2, UsedServiceUnit(cc_time=3, cc_input_octets=50, cc_output_octets=50), asks=False)
    )
    assert last.result_code == 2001
    assert main_of(pgw) == (994_900, 0, 5100)


def test_a_message_is_debited_at_once(pgw: Gateway) -> None:
    request = ccr(
        EVENT,
        service_context_id="32274@3gpp.org",
        requested_action=RequestedAction.DIRECT_DEBITING,
        requested_service_unit=RequestedServiceUnit(cc_service_specific_units=2),
    )
    answer = pgw.ask(request)
    assert answer.granted_service_unit == GrantedServiceUnit(cc_service_specific_units=2)
    assert (answer.validity_time, answer.multiple_services_credit_control) == (None, [])
    assert main_of(pgw) == (820_000, 0, 180_000)
    assert pgw.octets(request) == pgw.octets(request, again=True)
    assert main_of(pgw) == (820_000, 0, 180_000)


def test_an_event_is_never_free_because_it_claims_to_support_mscc(pgw: Gateway) -> None:
    answer = pgw.ask(
        ccr(
            EVENT,
            service_context_id="32274@3gpp.org",
            requested_action=RequestedAction.DIRECT_DEBITING,
            multiple_services_indicator=1,
        )
    )
    assert answer.granted_service_unit == GrantedServiceUnit(cc_service_specific_units=1)
    assert main_of(pgw)[2] == 90_000


def test_an_update_that_says_nothing_keeps_the_session(pgw: Gateway) -> None:
    pgw.ask(ccr(multiple_services_indicator=1, **blocks(mscc(30))))
    held = main_of(pgw)
    assert pgw.ask(ccr(UPDATE, 1)).result_code == 2001
    assert main_of(pgw) == held


def test_later_requests_need_not_say_who_it_is(pgw: Gateway) -> None:
    pgw.ask(ccr(**blocks(mscc())))
    assert pgw.ask(ccr(UPDATE, 1, subscription_id=[], **blocks(mscc(used=5)))).result_code == 2001
    assert pgw.ask(ccr(TERMINATION, 2, subscription_id=[], session_id="another")).result_code == 5002
    assert pgw.ask(ccr(subscription_id=[], session_id="another")).result_code == 5030


def test_any_known_identity_will_do(pgw: Gateway) -> None:
    unknown = SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_NAI, subscription_id_data="x")
    assert pgw.ask(ccr(subscription_id=[unknown, msisdn()], **blocks(mscc()))).result_code == 2001
    assert pgw.books.receipts[-1].identity == "msisdn:49"
    assert pgw.ask(ccr(subscription_id=[unknown], session_id="b", **blocks(mscc()))).result_code == 5030


# --- repetitions ------------------------------------------------------------------------------------------------------


def test_repeated_requests_get_the_same_octets() -> None:
    with gateway(charged_books(), failure_handling=FailureHandling.TERMINATE, session_failover=0) as pgw:
        story = [
            ccr(multiple_services_indicator=1, **blocks(mscc(10, asks=1000), mscc(20), mscc(99))),
            ccr(UPDATE, 1, **blocks(mscc(10, used=950), mscc(20, used=5))),
            ccr(UPDATE, 2, **blocks(mscc(10, used=10**9))),
            ccr(UPDATE, 3, **blocks(mscc(10, used=5))),
            ccr(TERMINATION, 4, **blocks(mscc(10, used=1, asks=None))),
            ccr(session_id="b", **blocks(mscc(30))),
            ccr(session_id="c", **blocks(mscc(99))),
        ]
        for request in story:
            first = pgw.octets(request)
            after = main_of(pgw)
            pgw.books.carry_out(CreditMoney(f"later{request.cc_request_number}{request.session_id}", 1))
            assert pgw.octets(request) == first
            assert pgw.octets(request, again=True) == first
            left, held, spent = main_of(pgw)
            assert (left - 1, held, spent) == after
        assert pgw.front.repeated == 2 * len(story)


def test_a_number_used_for_something_else_is_refused_and_shown(pgw: Gateway) -> None:
    pgw.ask(ccr(**blocks(mscc())))
    pgw.ask(ccr(UPDATE, 1, **blocks(mscc(used=100))))
    spent = main_of(pgw)
    answer = pgw.ask(ccr(UPDATE, 1, **blocks(mscc(used=200))))
    assert answer.result_code == 5004
    assert answer.failed_avp[0].other[0].code == 415
    assert main_of(pgw) == spent


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("avps", "code", "failed"),
    [
        ({"auth_application_id": 5}, 5004, 258),
        ({"cc_request_type": EVENT}, 5005, 436),
        ({"cc_request_type": EVENT, "requested_action": RequestedAction.PRICE_ENQUIRY}, 5012, None),
        (blocks(mscc(used=2**64 - 1)), 5004, 446),
        (blocks(mscc()) | {"used_service_unit": [UsedServiceUnit(cc_time=5)]}, 5007, 446),
        (blocks(mscc(99)), 5031, 432),
        (blocks(mscc()) | {"service_context_id": ""}, 5031, 461),
        (blocks(mscc(40)), 4010, None),
        ({"subscription_id": [msisdn("50")]}, 5030, None),
        ({"cc_request_type": UPDATE}, 5002, None),
        ({"cc_request_type": TERMINATION}, 5002, None),
    ],
)
def test_every_refusal_is_a_whole_answer_and_costs_nothing(
    pgw: Gateway, avps: dict[str, Any], code: int, failed: int | None
) -> None:
    answer = pgw.any_answer(ccr(**avps))
    assert isinstance(answer, CreditControlAnswer | ErrorAnswer)
    assert answer.result_code == code
    assert (answer.header.flags & FLAG_ERROR) == 0
    assert [avp.code for group in answer.failed_avp for avp in group.other] == ([] if failed is None else [failed])
    assert answer.error_message
    assert main_of(pgw) == (1_000_000, 0, 0)


def test_a_session_without_a_name_is_refused(pgw: Gateway) -> None:
    """The answer cannot repeat what was not there."""
    request = ccr(session_id="", **blocks(mscc()))
    answer = REGISTRY.decode(pgw.octets(request)).message
    assert (answer.result_code, answer.failed_avp[0].other[0].code) == (5004, 263)
    assert main_of(pgw) == (1_000_000, 0, 0)


def test_a_blocked_account_pays_for_what_it_used(pgw: Gateway) -> None:
    pgw.ask(ccr(**blocks(mscc())))
    pgw.books.carry_out(SetStatus(AccountStatus.BLOCKED))
    answer = pgw.ask(ccr(UPDATE, 1, **blocks(mscc(used=500))))
    assert (answer.result_code, answer.multiple_services_credit_control) == (4010, [])
    assert main_of(pgw) == (999_500, 0, 500)


def test_usage_after_the_supervision_timer_is_charged_and_the_session_refused(pgw: Gateway) -> None:
    pgw.ask(ccr(**blocks(mscc())))
    session = pgw.books.sessions["a", "pgw.example.org;1;2"]
    pgw.books.carry_out(ExpireSession(session.id), session.deadline)
    answer = pgw.ask(ccr(TERMINATION, 1, **blocks(mscc(used=500, asks=None))))
    assert answer.result_code == 5002
    assert main_of(pgw) == (999_500, 0, 500)


# --- what can go wrong behind -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [StoreUnavailable("Error 111 connecting to /secret/valkey.sock"), KeyError("main")])
def test_without_a_decision_the_gateway_is_told_to_handle_a_failure(pgw: Gateway, error: Exception) -> None:
    """3002 with the E bit is what makes it apply Credit-Control-Failure-Handling (RFC 8506 §5.7)."""
    pgw.broken.error = error
    answer = pgw.any_answer(ccr(**blocks(mscc())))
    assert isinstance(answer, ErrorAnswer)
    assert answer.result_code == 3002
    assert answer.header.flags & FLAG_ERROR
    assert answer.session_id == "pgw.example.org;1;2"
    assert answer.error_message is not None
    assert str(error) not in answer.error_message, "what is inside is nobody's business outside"
    pgw.broken.error = None
    assert pgw.ask(ccr(**blocks(mscc()))).result_code == 2001


def test_an_answer_that_nobody_waits_for_any_more_is_dropped(pgw: Gateway) -> None:
    """The node gives up on its handlers when it closes."""
    kept: list[Any] = []
    pgw.front.ledger.submit_for = lambda identities, command, done: kept.append((command, done))  # type: ignore[method-assign]
    request = REGISTRY.decode(encode(ccr(**blocks(mscc())))).message
    future = pgw.front.handle(request, None)
    assert isinstance(future, asyncio.Future)
    assert not future.done()
    future.cancel()
    ((command, done),) = kept
    done(pgw.books.carry_out(command))
    assert future.cancelled()


def test_what_happened_is_counted(pgw: Gateway) -> None:
    pgw.ask(ccr(**blocks(mscc())))
    pgw.ask(ccr(**blocks(mscc())))
    pgw.ask(ccr(UPDATE, 1, **blocks(mscc(used=2_000_000_000))))
    pgw.ask(ccr(EVENT))
    pgw.broken.error = StoreUnavailable("gone")
    pgw.any_answer(ccr(UPDATE, 2))
    assert dict(pgw.front.answered) == {
        (INITIAL, 2001): 2,
        (UPDATE, 2001): 1,
        (EVENT, ResultCode.MISSING_AVP): 1,
        (UPDATE, ResultCode.UNABLE_TO_DELIVER): 1,
    }
    assert (pgw.front.repeated, pgw.front.uncharged) == (1, 1)


# --- anything at all --------------------------------------------------------------------------------------------------

u32 = st.sampled_from((0, 1, 7, 500, 1000, 2**31, 2**32 - 1))
u64 = st.sampled_from((0, 1, 999, 10**6, 2**53 - 1, 2**53, 2**64 - 1))
units = {
    "cc_time": st.none() | u32,
    "cc_total_octets": st.none() | u64,
    "cc_input_octets": st.none() | u64,
    "cc_output_octets": st.none() | u64,
    "cc_service_specific_units": st.none() | u64,
}
wishes = st.none() | st.builds(RequestedServiceUnit, **units)
reports = st.lists(st.builds(UsedServiceUnit, reporting_reason=st.none() | st.integers(-1, 10), **units), max_size=2)
msccs = st.builds(
    MultipleServicesCreditControl,
    rating_group=st.sampled_from((None, 10, 10, 20, 30, 40, 99, 100, 200, 2**32 - 1)),
    service_identifier=st.lists(u32, max_size=2),
    requested_service_unit=wishes,
    used_service_unit=reports,
    reporting_reason=st.none() | st.integers(-1, 10),
    result_code=st.none() | u32,
    granted_service_unit=st.none() | st.builds(GrantedServiceUnit, cc_total_octets=u64),
)
subscriptions = st.builds(
    SubscriptionId,
    subscription_id_type=st.sampled_from(SubscriptionIdType),
    subscription_id_data=st.sampled_from(("49", "+49", "1", "", "{p00}:account:a", "a b", "\0", "ж" * 300)),
)
requests = st.builds(
    CreditControlRequest,
    session_id=st.sampled_from(("s", "s", "t", "a b\n{p01}", "x" * 5000)),
    origin_host=st.sampled_from(("pgw", "")),
    origin_realm=st.just("example.org"),
    destination_realm=st.just("example.org"),
    auth_application_id=st.sampled_from((4,) * 20 + (0,)),
    service_context_id=st.sampled_from(("32251@3gpp.org",) * 4 + ("32274@3gpp.org", "8.32260@3gpp.org", "", "@", "ж")),
    cc_request_type=st.sampled_from(CcRequestType),
    cc_request_number=st.sampled_from((0, 0, 1, 1, 2, 3, 4, 2**32 - 1)),
    subscription_id=st.lists(subscriptions, max_size=2) | st.just([msisdn()]),
    requested_action=st.none() | st.just(RequestedAction.DIRECT_DEBITING) | st.sampled_from(RequestedAction),
    multiple_services_indicator=st.sampled_from((None, 0, 1, 2, -1)),
    requested_service_unit=wishes,
    used_service_unit=reports,
    service_identifier=st.none() | u32,
    termination_cause=st.none() | st.integers(-(2**31), 2**31 - 1),
    multiple_services_credit_control=st.lists(msccs, max_size=3),
)


@examples(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(requests, min_size=1, max_size=8))
def test_whatever_is_asked_there_is_an_answer_and_the_books_balance(story: list[CreditControlRequest]) -> None:
    with gateway(charged_books()) as pgw:
        for request in story:
            answer = pgw.ask(request)
            assert answer.result_code in {2001, 4010, 4012, 5002, 5004, 5005, 5007, 5012, 5030, 5031}
            assert (answer.cc_request_type, answer.cc_request_number) == (
                request.cc_request_type,
                request.cc_request_number,
            )
            for block in answer.multiple_services_credit_control:
                granted = block.granted_service_unit
                if granted is not None:
                    amounts = (granted.cc_total_octets, granted.cc_time, granted.cc_service_specific_units)
                    assert sum(amount is not None for amount in amounts) == 1
                    assert request.cc_request_type is not TERMINATION
            if answer.result_code != 2001:
                assert answer.granted_service_unit is None
