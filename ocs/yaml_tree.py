"""YAML text to a tree of plain values that remembers where each of them stands.

Owns the subset of YAML that is accepted: one document of mappings, lists and plain text, without anchors, aliases
and tags, of bounded size and depth, so that no file can make the reader hang. Refuses to know what a value means:
scalars stay text (`0.02` is four characters, never a binary float; `no` and `012` are what they look like), and only
`null`, `~` and nothing at all become None.

    FileError   one or more problems in one file; its text has a line for each
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

MAX_FILE_OCTETS = 1024 * 1024  # what people write is smaller; reading this much takes a few seconds
MAX_DEPTH = 16  # twice what the deepest of our files needs

Tree = dict[str, "Tree"] | list["Tree"] | str | None
Location = tuple[str | int, ...]
"""Keys and list positions from the top: ("offers", "data-5gb", "allowances", 0)."""


@dataclass(frozen=True)
class Problem:
    """One mistake: where it is, in which field, what is wrong and what would be right."""

    place: str
    """A file, or an environment variable."""
    line: int | None
    field: str
    """Dotted path, empty for the whole file."""
    what: str

    def __str__(self) -> str:
        line = "" if self.line is None else f":{self.line}"
        text = f"{self.place}{line}: {self.field}{': ' if self.field else ''}{self.what}"
        # An escape in a quoted text can make any character: none of them shall reach a terminal as it is.
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class FileError(Exception):
    """A file that cannot be used. `problems` has every reason, in the order of the lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line is None, problem.line or 0)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass
class Document:
    """What a file says, where it says it, and what is wrong with it so far."""

    name: str
    """The file, as it is named in messages."""
    data: dict[str, Tree] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    places: dict[Location, tuple[str, int | None]] = field(default_factory=dict)
    """Location to the file and line, or to the environment variable, that the value comes from."""

    def problem(self, location: Location, what: str) -> Problem:
        """A problem at `location`, or at the nearest thing around it that stands somewhere."""
        known = next((location[:n] for n in range(len(location), 0, -1) if location[:n] in self.places), ())
        place, line = self.places.get(known, (self.name, None))
        return Problem(place, line, masked(dotted(location)), masked(what))

    def override(self, location: tuple[str, ...], value: Tree, place: str) -> None:
        """Put `value`, which comes from `place`, over what the file says."""
        target = self.data
        for depth, key in enumerate(location[:-1], start=1):
            if target.get(key) is None:
                target[key] = {}
                self.places.setdefault(location[:depth], (place, None))
            inner = target[key]
            if not isinstance(inner, dict):
                what = f"cannot be set: {dotted(location[:depth])} is {described(inner)}"
                self.problems.append(Problem(place, None, masked(dotted(location)), masked(what)))
                return
            target = inner
        target[location[-1]] = value
        self.places[location] = (place, None)


def dotted(location: Location) -> str:
    """`offers.data-5gb.allowances[0]`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")


def masked(text: str) -> str:
    """`text` without the users and passwords of the URLs in it: `redis://***@host`.

    A password may itself hold any character, so that everything up to the last @ goes.
    """
    text = re.sub(r"//[^\n]*@", "//***@", text)
    return re.sub(r"([?&][^\s=&]*password=)[^\s&'\"]*", r"\1***", text, flags=re.IGNORECASE)


def read(path: Path) -> Document:
    """The file as a document; `FileError` when it cannot be read at all.

    Mistakes that leave the rest readable (a duplicate key, an anchor) are kept in `problems`.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_OCTETS + 1)
    except FileNotFoundError:
        _fail(name, None, "no such file")
    except IsADirectoryError:
        _fail(name, None, "is a directory; name the file in it")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        _fail(name, None, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    if len(raw) > MAX_FILE_OCTETS:
        _fail(name, None, f"is larger than {MAX_FILE_OCTETS} octets, which is too large to have been written by hand")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        _fail(name, line, f"is not UTF-8 text (octet 0x{raw[error.start]:02x}); save the file as UTF-8")
    return parse(text, name)


def parse(text: str, name: str) -> Document:
    """The text of a file as a document; `FileError` when it is not the YAML that is accepted here."""
    document = Document(name)
    try:
        tree = _Builder(document, text).top()
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        _fail(name, line, f"has the control character 0x{ord(text[error.position]):02x}; remove it")
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        _fail(name, None if mark is None else mark.line + 1, f"is not YAML: {error.problem or error.context}")
    except (YAMLError, ValueError, OverflowError) as error:  # an escape such as "\UFFFFFFFF" is no character
        _fail(name, None, f"is not YAML: {error}")
    if tree is None:
        _fail(name, 1, "is empty; it must have at least one `key: value`")
    if not isinstance(tree, dict):
        _fail(name, 1, f"must be a mapping (`key: value`) at the top, not {described(tree)}")
    document.data = tree
    return document


def described(value: object) -> str:
    """What a value is, for a message about its being the wrong thing."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            shown = masked(value)
            return repr(shown if len(shown) <= 60 else shown[:57] + "...")
    return repr(value)


def _fail(name: str, line: int | None, what: str) -> NoReturn:
    # What it came from quotes the file, which may hold a password.
    raise FileError([Problem(name, line, "", what)]) from None


class _Builder:
    """Builds the tree from parser events, which come one by one: the depth is checked before it is reached."""

    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.events = iter(YAML(typ="safe", pure=True).parse(text))

    def top(self) -> Tree:
        tree: Tree = None
        started = False
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if started:
                    self._stop(event, "a second document (`---`) begins; one file holds one")
                started = True
            elif isinstance(event, NodeEvent):
                tree = self.node(event, ())
        return tree

    def node(self, event: Event, location: Location, line: int | None = None) -> Tree:
        """The value that starts with `event`; `line` is that of its key."""
        assert isinstance(event, NodeEvent), "the parser has no other events inside a document"
        own_line = event.start_mark.line + 1
        is_text = isinstance(event, ScalarEvent) and bool(event.value)
        # A value is looked for at its key; only a text may stand in a line of its own.
        place = (self.document.name, own_line if line is None or is_text else line)
        self.document.places.setdefault(location, place)
        if isinstance(event, AliasEvent):
            self._report(location, f"an alias (*{event.anchor}) is not allowed; write the value out")
            return None
        if event.anchor is not None:
            self._report(location, f"an anchor (&{event.anchor}) is not allowed; write the value out")
        assert isinstance(event, ScalarEvent | CollectionStartEvent), "an alias has been dealt with"
        if event.tag is not None:
            self._report(location, f"a tag ({event.tag}) is not allowed; write the plain value")
        if len(location) >= MAX_DEPTH:
            self._stop(event, f"is nested more than {MAX_DEPTH} deep")
        if isinstance(event, MappingStartEvent):
            return self._mapping(location)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(location)
        assert isinstance(event, ScalarEvent), "the only node that is left"
        is_null = event.style is None and event.value in {"", "~", "null", "Null", "NULL"}
        return None if is_null else str(event.value)

    def _mapping(self, location: Location) -> dict[str, Tree]:
        mapping: dict[str, Tree] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, ScalarEvent) or not event.value or event.anchor or event.tag:
                self._stop(event, "a key must be plain text")
            key = str(event.value)
            value = self.node(next(self.events), (*location, key), line)
            if key in mapping:
                self._report((*location, key), f"duplicate key; line {lines[key]} has it already", line)
            else:
                mapping[key], lines[key] = value, line
        return mapping

    def _sequence(self, location: Location) -> list[Tree]:
        items: list[Tree] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.node(event, (*location, len(items))))
        return items

    def _report(self, location: Location, what: str, line: int | None = None) -> None:
        problem = self.document.problem(location, what)
        if line is not None:
            problem = Problem(problem.place, line, problem.field, problem.what)
        self.document.problems.append(problem)

    def _stop(self, event: Event, what: str) -> NoReturn:
        line = event.start_mark.line + 1
        raise FileError([*self.document.problems, Problem(self.document.name, line, "", what)])
