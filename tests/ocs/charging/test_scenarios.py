"""The scenarios: those of this folder, and every one that the documentation shows."""

from pathlib import Path

import pytest

from tests.ocs.charging.scenario import Runner, Scenario, scenarios_in, scenarios_of_page

ROOT = Path(__file__).parents[3]
SHOWN = list(scenarios_of_page(ROOT / "docs" / "charging.md"))


@pytest.mark.parametrize("scenario", scenarios_in(Path(__file__).parent / "scenarios"), ids=str)
def test_a_scenario_comes_out_as_it_is_written(scenario: Scenario) -> None:
    assert scenario.title
    Runner(scenario).run()


@pytest.mark.parametrize("scenario", SHOWN, ids=str)
def test_what_the_documentation_shows_is_what_happens(scenario: Scenario) -> None:
    Runner(scenario).run()


def test_the_documentation_shows_scenarios() -> None:
    assert len(SHOWN) > 5
