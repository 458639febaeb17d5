"""One rating group at the gateway: what is not seen from outside a session."""

import pytest

from aiodiameter.messages.credit_control import GrantedServiceUnit, ReportingReason
from simulators.books import ServiceBooks, Unit, Usage
from simulators.service import Due, Phase, Service, granted_units
from tests.simulators.gy import T0, granted


@pytest.mark.parametrize(
    ("avps", "units"),
    [
        ({}, {}),
        ({"cc_total_octets": 5}, {Unit.OCTETS: 5}),
        ({"cc_total_octets": 5, "cc_input_octets": 2}, {Unit.OCTETS: 5}),
        ({"cc_input_octets": 2, "cc_output_octets": 3}, {Unit.OCTETS: 5}),
        ({"cc_output_octets": 3}, {Unit.OCTETS: 3}),
        ({"cc_time": 60, "cc_service_specific_units": 1}, {Unit.SECONDS: 60, Unit.EVENTS: 1}),
        ({"cc_total_octets": 0}, {Unit.OCTETS: 0}),
    ],
)
def test_what_a_grant_holds(avps: dict[str, int], units: dict[Unit, int]) -> None:
    granted_service_unit = GrantedServiceUnit()
    for name, value in avps.items():
        setattr(granted_service_unit, name, value)
    assert granted_units(granted_service_unit) == units


def test_nothing_is_granted_without_a_group() -> None:
    assert granted_units(None) == {}


def asked() -> Service:
    service = Service(10, ServiceBooks())
    service.offer(Usage(octets_down=50), T0)
    due = service.due(T0)
    assert due == Due(None)
    report = service.report(due, T0)
    assert (report.usage, report.units) == (None, ())
    assert service.due(T0) is None, "it is being asked for"
    return service


def test_a_unit_that_was_not_granted_passes_while_another_lasts() -> None:
    service = asked()
    service.answered(granted(10, 60, "seconds"), Due(None), T0, 60)
    service.flow(T0)
    assert service.books.passed[Unit.OCTETS] == 50
    service.offer(Usage(seconds=60), T0)
    service.flow(T0)
    service.offer(Usage(octets_down=1), T0)
    service.flow(T0)
    assert service.books.passed[Unit.OCTETS] == 50
    assert service.due(T0) == Due(ReportingReason.QUOTA_EXHAUSTED, Unit.SECONDS)


@pytest.mark.parametrize("validity", [0, 1])
def test_a_validity_time_of_nothing_does_not_ask_without_end(validity: int) -> None:
    service = asked()
    service.answered(granted(10, 100, validity=validity), Due(None), T0, 60)
    assert service.due(T0) is None
    assert service.deadline == T0 + 1


def test_an_answer_that_does_not_mention_the_service_refuses_it() -> None:
    service = asked()
    service.answered(None, Due(None), T0, 60)
    assert (service.phase, service.retry_at) == (Phase.REFUSED, T0 + 60)
    assert service.books.dropped[Unit.OCTETS] == 50
