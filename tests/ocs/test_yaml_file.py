"""A document against a model: how each kind of mistake is worded, and where it is said to be."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, Field, field_validator

from ocs.units import format_duration, parse_duration_s
from ocs.yaml_file import FileError, Written, did_you_mean, load, located, quantity, validate
from ocs.yaml_tree import Location, parse


def _even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd; write an even number")
    return value


class Leaf(Written):
    colour: Literal["red", "green"] = Field(default="red", description="its colour")
    age_s: Annotated[int, quantity(parse_duration_s, format_duration, 10, 3600)] = Field(alias="age", default=60)
    size: Annotated[int, quantity(int), AfterValidator(_even)] = 2
    ripe: bool = False


class Branch(Written):
    name: str = Field(description="what it is called")
    leaves: tuple[Leaf, ...] = ()
    by_name: dict[str, Leaf] = {}
    only: Leaf | None = None
    place: Path = Path()
    words: tuple[str, ...] = ()
    mystery: float = 0

    @field_validator("words")
    @classmethod
    def _no_bad_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        problems: list[tuple[Location, str]] = [((i,), "is bad") for i, word in enumerate(words) if word == "bad"]
        if problems:
            raise located(problems)
        return words


def problems(text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        validate(parse(text, "f"), Branch)
    return str(caught.value).split("\n")


def test_a_right_file(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("name: oak\nleaves:\n- age: 1 min\n- {colour: green, ripe: true}\nby_name: {a: {size: 4}}\n")
    branch = load(file, Branch)
    assert branch == Branch(name="oak", leaves=(Leaf(), Leaf(colour="green", ripe=True)), by_name={"a": Leaf(size=4)})
    assert branch.leaves[0].age_s == 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("leaves: []\n", ["f:1: name: is missing; what it is called"]),
        ("name: [a]\n", ["f:1: name: must be text, not a list"]),
        ("name:\n", ["f:1: name: must be text, not nothing"]),
        ("name: a\nnmae: b\n", ["f:2: nmae: unknown key (did you mean 'name'?)"]),
        (
            "name: a\n\nzzz: b\n",
            ["f:3: zzz: unknown key; known: by_name, leaves, mystery, name, only, place, words"],
        ),
        ("name: a\nleaves: x\n", ["f:2: leaves: must be a list, not 'x'; write [x]"]),
        ("name: a\nleaves: {b: 1}\n", ["f:2: leaves: must be a list, not a mapping"]),
        ("name: a\nleaves:\n  - x\n", ["f:3: leaves[0]: must be a mapping (`key: value`), not 'x'"]),
        ("name: a\nby_name: [x]\n", ["f:2: by_name: must be a mapping (`key: value`), not a list"]),
        ("name: a\nplace: [x]\n", ["f:2: place: must be text, not a list"]),
        (
            "name: a\nleaves:\n  - colour: red\n  - color: red\n",
            ["f:4: leaves[1].color: unknown key (did you mean 'colour'?)"],
        ),
        (
            "name: a\nleaves: [{age_s: 1 min}]\n",
            ["f:2: leaves[0].age_s: unknown key (did you mean 'age'?)"],
        ),
        (
            "name: a\nby_name:\n  x:\n    colour: gren\n",
            ["f:4: by_name.x.colour: unknown value 'gren' (did you mean 'green'?)"],
        ),
        ("name: a\nonly:\n  colour: blue\n", ["f:3: only.colour: unknown value 'blue'; known: green, red"]),
        ("name: a\nonly:\n  tint: blue\n", ["f:3: only.tint: unknown key; known: age, colour, ripe, size"]),
        ("name: a\nonly:\n  ripe: perhaps\n", ["f:3: only.ripe: must be true or false, not 'perhaps'"]),
        ("name: a\nonly:\n  ripe: []\n", ["f:3: only.ripe: must be true or false, not a list"]),
        ("name: a\nonly:\n  size: 3\n", ["f:3: only.size: 3 is odd; write an even number"]),
        ("name: a\nonly:\n  age: 5 s\n", ["f:3: only.age: 5 s is too small; at least 10 s is needed"]),
        ("name: a\nonly:\n  age: 2 h\n", ["f:3: only.age: 2 h is too large; at most 1 h is possible"]),
        ("name: a\nonly:\n  age: [5]\n", ["f:3: only.age: must be a quantity such as 10 s, not a list"]),
        ("name: a\nonly:\n  age:\n", ["f:3: only.age: must be a quantity such as 10 s, not nothing"]),
        (
            "name: a\nonly:\n  age: 5 m\n",
            ["f:3: only.age: '5 m' is not a duration; m could be minutes or months: write min, or days"],
        ),
        ("name: a\nwords: [good, bad,\n  bad]\n", ["f:2: words[1]: is bad", "f:3: words[2]: is bad"]),
        ("name: a\nwords: [{}]\n", ["f:2: words[0]: must be text, not a mapping"]),
        (
            "name: a\nmystery: x\n",
            ["f:2: mystery: Input should be a valid number, unable to parse string as a number"],
        ),
    ],
)
def test_one_mistake(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_all_mistakes_at_once_in_the_order_of_lines() -> None:
    text = "leaves:\n  - colour: rd\n  - size: 1\n  - size: 1\n    size: 2\nby_name: &x\n  a: {ripe: 3}\nonly: *x\n"
    assert problems(text) == [
        "f:1: name: is missing; what it is called",
        "f:2: leaves[0].colour: unknown value 'rd' (did you mean 'red'?)",
        "f:3: leaves[1].size: 1 is odd; write an even number",
        "f:4: leaves[2].size: 1 is odd; write an even number",
        "f:5: leaves[2].size: duplicate key; line 4 has it already",
        "f:6: by_name: an anchor (&x) is not allowed; write the value out",
        "f:7: by_name.a.ripe: must be true or false, not '3'",
        "f:8: only: an alias (*x) is not allowed; write the value out",
    ]


def test_an_alias_is_not_reported_a_second_time_for_being_nothing() -> None:
    assert problems("name: &n a\nleaves: *n\n") == [
        "f:1: name: an anchor (&n) is not allowed; write the value out",
        "f:2: leaves: an alias (*n) is not allowed; write the value out",
    ]


def test_a_mistake_of_the_text_alone_is_enough() -> None:
    assert problems("name: a\nname: b\n") == ["f:2: name: duplicate key; line 1 has it already"]


def test_a_value_that_may_be_a_password_is_not_shown() -> None:
    url = "redis://user:s3cret@host"
    for text in (
        f"name: a\nonly: {url}\n",
        f"name: a\nonly: {url}{'x' * 100}\n",
        f"name: a\nleaves: {url}\n",
        f"name: a\nonly: {{age: '{url}'}}\n",
        f"name: a\nonly: {{age: '{url}{'x' * 100}'}}\n",
        f"name: a\nonly: {{colour: '{url}'}}\n",
        f"name: a\n'{url}': b\n",
        f"{url}\n",
    ):
        assert "s3cret" not in "".join(problems(text))


def test_an_integer_is_taken_from_programs_but_not_true_or_a_float() -> None:
    assert Leaf(age=600).age_s == 600
    for wrong in (True, 60.0, 5):
        with pytest.raises(ValueError, match="1 validation error"):
            Leaf(age=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("internt", ["internet", "voice"], " (did you mean 'internet'?)"),
        ("INTERNET", ["internet", "voice"], " (did you mean 'internet'?)"),
        ("x", ["b", "a"], "; known: a, b"),
        ("x", [], "; there is none"),
    ],
)
def test_the_nearest_match(word: str, known: list[str], hint: str) -> None:
    assert did_you_mean(word, known) == hint
