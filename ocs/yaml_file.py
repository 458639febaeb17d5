"""A YAML file against a pydantic model: the model, or every mistake at once.

Owns the wording of mistakes, `FILE:LINE: field.path: what is wrong; what would be right`, and the building blocks
that models of files share. Refuses to know what any field means, and how YAML is read (that is `yaml_tree`).
"""

import difflib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from ocs.units import MAX_QUANTITY
from ocs.yaml_tree import Document, FileError, Location, Problem, described, dotted, masked, read

__all__ = [
    "Document",
    "FileError",
    "Problem",
    "Written",
    "did_you_mean",
    "load",
    "located",
    "masked",
    "quantity",
    "validate",
]


class Written(BaseModel):
    """What people write: a key that is not known is a mistake, and what was read does not change."""

    # An error of pydantic's own never shows the input: it may hold a password.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


M = TypeVar("M", bound=BaseModel)


def load(path: Path, model: type[M], context: dict[str, Any] | None = None) -> M:
    """The file as `model`; `FileError` with every problem otherwise."""
    return validate(read(path), model, context)


def validate(document: Document, model: type[M], context: dict[str, Any] | None = None) -> M:
    """The document as `model`; `FileError` with every problem of the text and of the values otherwise.

    `context` is handed to the model's validators.
    """
    problems = list(document.problems)
    try:
        valid = model.model_validate(document.data, context=context)
    except ValidationError as error:
        reported = {problem.field for problem in problems}
        for details in error.errors(include_url=False):
            for location, what in _worded(details, model):
                # An alias has been read as nothing, which may be wrong in turn: once is enough.
                if details["input"] is not None or dotted(location) not in reported:
                    problems.append(document.problem(location, what))
    else:
        if not problems:
            return valid
    raise FileError(problems)


def located(problems: Iterable[tuple[Location, str]]) -> PydanticCustomError:
    """What a validator raises about things inside its value: pairs of (location within the value, what is wrong)."""
    return PydanticCustomError("located", "several problems", {"problems": list(problems)})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'internet'?)`, or else what there is to choose from; always ready to be appended."""
    known = sorted(known)
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f" (did you mean {folded[near[0]]!r}?)"
    return f"; known: {', '.join(known)}" if known else "; there is none"


def quantity(
    parse: Callable[[str], int],
    show: Callable[[int], str] = str,
    minimum: int = 0,
    maximum: int = MAX_QUANTITY,
) -> BeforeValidator:
    """A field that is written with `parse`'s spelling and read as an integer within bounds.

    An integer is taken as it is, so that a program can set the field too.
    """

    def check(value: object) -> int:
        if isinstance(value, str):
            value = parse(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(  # noqa: TRY004 - pydantic collects a ValueError, and lets a TypeError through
                f"must be a quantity such as {show(max(minimum, 1))}, not {described(value)}"
            )
        if value < minimum:
            raise ValueError(f"{show(value)} is too small; at least {show(minimum)} is needed")
        if value > maximum:
            raise ValueError(f"{show(value)} is too large; at most {show(maximum)} is possible")
        return value

    return BeforeValidator(check)


def _worded(details: ErrorDetails, model: type[BaseModel]) -> Iterable[tuple[Location, str]]:
    """Where and what, in this project's words, for an error of pydantic's."""
    location = tuple(part for part in details["loc"] if part != "[key]")
    value, context = details["input"], details.get("ctx", {})
    match details["type"]:
        case "located":
            for inside, what in context["problems"]:
                yield (*location, *inside), what
        case "value_error":
            yield location, str(context["error"])
        case "missing":
            field = _fields(_annotation_at(model, location[:-1])).get(str(location[-1]))
            yield location, f"is missing; {(field and field.description) or 'it must be given'}"
        case "extra_forbidden":
            keys = _fields(_annotation_at(model, location[:-1]))
            yield location, f"unknown key{did_you_mean(str(location[-1]), keys)}"
        case "model_type" | "dict_type" | "model_attributes_type":
            yield location, f"must be a mapping (`key: value`), not {described(value)}"
        case "list_type" | "tuple_type" | "set_type" | "frozen_set_type":
            hint = f"; write [{value}]" if isinstance(value, str) else ""
            yield location, f"must be a list, not {described(value)}{hint}"
        case "string_type" | "path_type":
            yield location, f"must be text, not {described(value)}"
        case "bool_type" | "bool_parsing":
            yield location, f"must be true or false, not {described(value)}"
        case "literal_error" | "enum":
            choices = re.findall(r"'([^']*)'", context["expected"])
            if isinstance(value, str):
                yield location, f"unknown value {described(value)}{did_you_mean(value, choices)}"
            else:
                yield location, f"must be one of {', '.join(choices)}, not {described(value)}"
        case _:
            yield location, details["msg"]


def _annotation_at(annotation: Any, location: Location) -> Any:
    """The type that a model declares at a location; None where it declares nothing."""
    for part in location:
        annotation = _bare(annotation)
        if fields := _fields(annotation):
            annotation = fields[str(part)].annotation if part in fields else None
        else:
            # What a list, a tuple[X, ...] or a dict holds is its last argument.
            annotation = next((inner for inner in reversed(get_args(annotation)) if inner is not Ellipsis), None)
    return _bare(annotation)


def _bare(annotation: Any) -> Any:
    """Without `Annotated` and without `| None`."""
    while get_origin(annotation) in {Annotated, Union, UnionType}:
        annotation = next(inner for inner in get_args(annotation) if inner is not type(None))
    return annotation


def _fields(annotation: Any) -> dict[str, FieldInfo]:
    """The fields of a model by the keys of the file; none for anything else."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {field.alias or name: field for name, field in annotation.model_fields.items()}
    return {}
