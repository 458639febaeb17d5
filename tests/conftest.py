"""What all tests share: the rule for tests that need a program which a Debian package installs."""

import os
import shutil
from collections.abc import Iterator

import pytest
import structlog


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.needs("tshark")`: skipped where the program is missing, a failure where CI is set to true."""
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if shutil.which(program) is None:
                reason = f"the program {program!r} is not installed (on Debian: apt-get install {program})"
                if os.environ.get("CI") == "true":
                    pytest.fail(reason, pytrace=False)
                pytest.skip(reason)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process sets the log up for itself; the next test starts from the defaults."""
    yield
    structlog.reset_defaults()
