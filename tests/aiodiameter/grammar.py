"""Compares a declared class with the grammar that its standard gives for it (RFC 6733 §3.2)."""

import re
from collections.abc import Collection
from typing import NamedTuple

from aiodiameter.codec import compile_class
from aiodiameter.message import Grouped

_RULE = re.compile(r"(?P<least>\d*)(?P<star>\*?)(?P<most>\d*)\s*(?P<bracket>[<{\[])\s*(?P<name>[\w-]+)\s*[>}\]]")


class Rule(NamedTuple):
    """One AVP of a grammar."""

    name: str
    required: bool
    repeats: bool


def rules(abnf: str) -> list[Rule]:
    """The AVPs of a grammar, in their order, without the `* [ AVP ]` for all others."""
    found = []
    for match in _RULE.finditer(abnf):
        required = match["bracket"] != "[" and match["least"] != "0"
        repeats = bool(match["star"]) and match["most"] != "1"
        found.append(Rule(match["name"], required, repeats))
    return [rule for rule in found if rule.name != "AVP"]


def check(
    cls: type[Grouped],
    abnf: str,
    *,
    more: Collection[str] = (),
    left_out: Collection[str] = (),
    optional_here: Collection[str] = (),
    repeats_here: Collection[str] = (),
) -> None:
    """The class has the grammar's AVPs in the grammar's order, each as often as the grammar says, except: `more` of
    another document, `left_out` and so kept in `other`, `optional_here` and `repeats_here` out of tolerance.
    """
    declared = [Rule(f.facts.name, f.required, f.repeats) for f in compile_class(cls).fields]
    expected = [
        Rule(rule.name, rule.required and rule.name not in optional_here, rule.repeats or rule.name in repeats_here)
        for rule in rules(abnf)
        if rule.name not in left_out
    ]
    assert [rule for rule in declared if rule.name not in more] == expected
    named = {rule.name for rule in rules(abnf)}
    assert set(more) <= {rule.name for rule in declared} - named
    assert set(left_out) | set(optional_here) | set(repeats_here) <= named
