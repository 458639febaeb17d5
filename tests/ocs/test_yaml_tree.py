"""The accepted subset of YAML: what becomes of a text, where things stand, and that no text does harm."""

import contextlib
import os
import time
import traceback
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocs.yaml_tree import MAX_FILE_OCTETS, FileError, Problem, described, dotted, masked, parse, read


def test_scalars_stay_text() -> None:
    text = """
money: 0.02
context: 012
answer: no
exponent: 1e3
date: 2026-11-01
percent: 20 %
quoted: "null"
folded: >-
  one
  two
nothing:
null_: null
tilde: ~
flow: {a: [1, 2], b: 0.10}
"""
    assert parse(text, "f").data == {
        "money": "0.02",
        "context": "012",
        "answer": "no",
        "exponent": "1e3",
        "date": "2026-11-01",
        "percent": "20 %",
        "quoted": "null",
        "folded": "one two",
        "nothing": None,
        "null_": None,
        "tilde": None,
        "flow": {"a": ["1", "2"], "b": "0.10"},
    }


def test_every_value_knows_its_place() -> None:
    document = parse("a: 1\nb:\n  c:\n    - d: 2\n    - 3\n  e:\n    long\n  f:\n", "f.yaml")
    assert {dotted(location): place[1] for location, place in document.places.items()} == {
        "": 1,
        "a": 1,
        "b": 2,
        "b.c": 3,
        "b.c[0]": 4,
        "b.c[0].d": 4,
        "b.c[1]": 5,
        "b.e": 7,
        "b.f": 8,
    }
    assert str(document.problem(("b", "c", 0, "missing"), "is missing")) == "f.yaml:4: b.c[0].missing: is missing"
    assert str(document.problem((), "is wrong")) == "f.yaml:1: is wrong"


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb:\r\n  c: 2\r\n")
    document = read(file)
    assert document.data == {"a": "1", "b": {"c": "2"}}
    assert document.places["b", "c"] == (str(file), 3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "f:1: is empty; it must have at least one `key: value`"),
        ("# only a comment\n", "f:1: is empty; it must have at least one `key: value`"),
        ("---\n", "f:1: is empty; it must have at least one `key: value`"),
        ("null", "f:1: is empty; it must have at least one `key: value`"),
        ("- a\n- b\n", "f:1: must be a mapping (`key: value`) at the top, not a list"),
        ("just words\n", "f:1: must be a mapping (`key: value`) at the top, not 'just words'"),
        ("a: b: c\n", "f:1: is not YAML: mapping values are not allowed here"),
        ("a:\n\t- b\n", "f:2: is not YAML: found character '\\t' that cannot start any token"),
        ("a: 'open\n", "f:2: is not YAML: found unexpected end of stream"),
        ("listen: [::1]:3868\n", "f:1: is not YAML: expected <block end>, but found '<scalar>'"),
        ("a: 1\nb: \x01\n", "f:2: has the control character 0x01; remove it"),
        ("a: 1\n---\nb: 2\n", "f:2: a second document (`---`) begins; one file holds one"),
        ("? [a]\n: 5\n", "f:1: a key must be plain text"),
        (": 5\n", "f:1: a key must be plain text"),
        ("a: 1\n&x b: 5\n", "f:2: a key must be plain text"),
        ('a: "\\UFFFFFFFF"\n', "f: is not YAML: "),
    ],
)
def test_what_cannot_be_read_at_all(text: str, problem: str) -> None:
    with pytest.raises(FileError) as caught:
        parse(text, "f")
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a: 1\nb: 2\na: 3\n", ["f:3: a: duplicate key; line 1 has it already"]),
        ("b:\n  c: 1\n  d: 2\n  c: {x: 1}\n", ["f:4: b.c: duplicate key; line 2 has it already"]),
        (
            "a: &x [1]\nb:\n- *x\n",
            [
                "f:1: a: an anchor (&x) is not allowed; write the value out",
                "f:3: b[0]: an alias (*x) is not allowed; write the value out",
            ],
        ),
        ("a: !!int 5\n", ["f:1: a: a tag (tag:yaml.org,2002:int) is not allowed; write the plain value"]),
        ("a: !secret {b: 1}\n", ["f:1: a: a tag (!secret) is not allowed; write the plain value"]),
    ],
)
def test_what_leaves_the_rest_readable(text: str, problems: list[str]) -> None:
    assert [str(problem) for problem in parse(text, "f").problems] == problems


def test_the_first_of_two_equal_keys_is_kept() -> None:
    assert parse("a: 1\na: 2\n", "f").data == {"a": "1"}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "- [{a: "])
def test_absurd_nesting_is_cut_off(opening: str) -> None:
    begin = time.monotonic()
    with pytest.raises(FileError):
        parse("a:\n  " + opening * 50_000, "f")
    assert time.monotonic() - begin < 5


def test_the_depth_that_is_cut_off() -> None:
    assert parse("a: " + "[" * 15 + "]" * 15, "f").problems == []
    with pytest.raises(FileError, match="f:1: is nested more than 16 deep"):
        parse("a: " + "[" * 16 + "]" * 16, "f")


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    text = 'a: &a ["x", "x"]\n' + "".join(
        f"{name}: &{name} [*{before}, *{before}]\n"
        for before, name in zip("abcdefghijklmnopq", "bcdefghijklmnopqr", strict=True)
    )
    problems = parse(text, "f").problems
    assert len(problems) == 18 + 34
    assert str(problems[1]) == "f:2: b: an anchor (&b) is not allowed; write the value out"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def why(path: Path) -> str:
        with pytest.raises(FileError) as caught:
            read(path)
        return str(caught.value).replace(str(tmp_path), "DIR")

    assert why(tmp_path / "absent.yaml") == "DIR/absent.yaml: no such file"
    assert why(tmp_path) == "DIR: is a directory; name the file in it"
    assert why(tmp_path / "a\0b").endswith("cannot be read: embedded null byte")
    (tmp_path / "file").write_text("a: 1\n")
    assert why(tmp_path / "file" / "below") == "DIR/file/below: cannot be read: Not a directory"
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nname: Caf\xe9\n")
    assert why(tmp_path / "latin.yaml") == "DIR/latin.yaml:2: is not UTF-8 text (octet 0xe9); save the file as UTF-8"
    (tmp_path / "utf16.yaml").write_text("a: 1", encoding="utf-16")
    assert "is not UTF-8 text (octet 0xf" in why(tmp_path / "utf16.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_FILE_OCTETS + 1))
    assert "is larger than 1048576 octets" in why(tmp_path / "large.yaml")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_that_must_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("a: 1\n")
    file.chmod(0)
    with pytest.raises(FileError, match="cannot be read: Permission denied"):
        read(file)


def test_the_text_around_a_mistake_is_not_shown() -> None:
    text = "store:\n  url: redis://:s3cret@h: 1\n"
    with pytest.raises(FileError) as caught:
        parse(text, "f")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_an_override_is_found_where_it_comes_from() -> None:
    document = parse("store:\n  url: x\nlog:\ncdr: 5\n", "f")
    document.override(("store", "url"), "y", "variable STORE__URL")
    document.override(("log", "level"), "info", "variable LOG__LEVEL")
    document.override(("new", "deep", "field"), None, "variable NEW")
    document.override(("cdr", "formats"), "csv", "variable CDR__FORMATS")
    assert document.data == {
        "store": {"url": "y"},
        "log": {"level": "info"},
        "new": {"deep": {"field": None}},
        "cdr": "5",
    }
    assert str(document.problem(("store", "url"), "wrong")) == "variable STORE__URL: store.url: wrong"
    assert str(document.problem(("new", "deep"), "wrong")) == "variable NEW: new.deep: wrong"
    assert str(document.problem(("log",), "wrong")) == "f:3: log: wrong"
    assert [str(problem) for problem in document.problems] == [
        "variable CDR__FORMATS: cdr.formats: cannot be set: cdr is '5'"
    ]


def test_problems_come_in_the_order_of_lines_and_variables_last() -> None:
    error = FileError([Problem("variable X", None, "x", "d"), Problem("f", 9, "b", "c"), Problem("f", 2, "", "a")])
    assert str(error) == "f:2: a\nf:9: b: c\nvariable X: x: d"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://user:s3cret@host:6379/0", "redis://***@host:6379/0"),
        ("redis://:p@ss/w:rd@host", "redis://***@host"),
        ("redis://:pass word@host", "redis://***@host"),
        ("see redis://:x@h and so on", "see redis://***@h and so on"),
        ("unix:///run/redis.sock?db=0&Password=s3cret&x=1", "unix:///run/redis.sock?db=0&Password=***&x=1"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("pgw@example.org", "pgw@example.org"),
    ],
)
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert "s3cret" not in described(text + "x" * 100)


def test_a_message_is_harmless_to_a_terminal_and_to_an_encoder() -> None:
    document = parse('"\\e[2J\\uD800": [1]\n', "f")
    assert document.data == {"\x1b[2J\ud800": ["1"]}
    assert str(document.problem(("\x1b[2J\ud800",), "unknown")) == "f:1: \\x1b[2J\\ud800: unknown"


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"%@`?,#\\ \n\t0.~xU\u2028\x85"), max_size=60))
def test_any_text_is_a_document_or_a_file_error(text: str) -> None:
    with contextlib.suppress(FileError):
        assert isinstance(parse(text, "f").data, dict)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_octets_are_a_document_or_a_file_error(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(raw)
    with contextlib.suppress(FileError):
        assert isinstance(read(file).data, dict)
