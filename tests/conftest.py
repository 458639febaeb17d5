"""What all tests share: the rule for tests that need a program which a Debian package installs."""

import os
import shutil

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.needs("tshark")`: skipped where the program is missing, a failure where CI is set to true."""
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if shutil.which(program) is None:
                reason = f"the program {program!r} is not installed (on Debian: apt-get install {program})"
                if os.environ.get("CI") == "true":
                    pytest.fail(reason, pytrace=False)
                pytest.skip(reason)
