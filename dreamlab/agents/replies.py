"""What each role must reply: schemas, and reading them out of what a model wrote. Pure."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from dreamlab.errors import LanguageModelError

T = TypeVar("T", bound="Structured")

SENTENCE, PAGE, MANY = 400, 4_000, 30
"""Longest reason and longest text in characters, and longest list."""


def _at_most(length: int) -> AfterValidator:
    def check(value: Any) -> Any:
        if len(value) > length:
            raise ValueError(f"longer than {length}")
        return value

    return AfterValidator(check)


# Bounds are checked here and kept out of the schema: several endpoints refuse one that has them.
Line = Annotated[str, _at_most(SENTENCE)]
Text = Annotated[str, _at_most(PAGE)]
Lines = Annotated[list[Line], _at_most(MANY)]
Field = Literal[
    "", "phone", "address", "hours", "eligibility", "how_to_apply", "fees", "description"
]


class Structured(BaseModel):
    """A reply: exactly the fields of its class."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ExpertReply(Structured):
    """What an expert understood, and words to search the directory for."""

    needs: Lines
    groups: Lines
    words: Line


class LeadReply(Structured):
    """What the lead understood: facets, the fact asked for, or that nothing can fit."""

    needs: Lines
    groups: Lines
    field: Field
    nothing_fits: bool


class WrittenReply(Structured):
    """What the lead writes to the caller about one service."""

    text: Line


class OpenReply(Structured):
    """An idea in words, around citations of the services that it builds on."""

    text: Text


class JudgeReply(Structured):
    """Whether an open answer rests on the rows, and whether it helps."""

    grounded: bool
    useful: bool
    reason: Line


class Lesson(Structured):
    """A sentence that a night taught, and the numbers of the dreams it rests on."""

    text: Line
    dreams: Annotated[list[int], _at_most(MANY)]


class ReflectionReply(Structured):
    """What went well, what to improve, what is new, and what to do next time."""

    went_well: Annotated[list[Lesson], _at_most(MANY)]
    improve: Annotated[list[Lesson], _at_most(MANY)]
    new: Annotated[list[Lesson], _at_most(MANY)]
    next_time: Annotated[list[Lesson], _at_most(MANY)]


_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)


def read(kind: type[T], text: str) -> T:
    """The reply in what a model wrote, around which it may have thought aloud or put a fence.

    Raises:
        LanguageModelError: there is no JSON object in it, or not the one asked for.
    """
    body = _THOUGHT.sub("", text)
    problem = LanguageModelError("malformed", "not a JSON object")
    decoder = json.JSONDecoder()
    for start in (m.start() for m in list(re.finditer(r"\{", body))[:MANY]):
        try:
            found, _ = decoder.raw_decode(body, start)
        except (ValueError, RecursionError):
            continue
        try:
            return kind.model_validate(found)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the object"
            if problem.code == "malformed":
                problem = LanguageModelError("wrong_schema", f"{where}: {first['msg']}")
    raise problem
