"""The benchmark of one directory: hand-written and generated questions, split once into halves.

One half decides at the gate, the other is only ever reported. The split and the ids hang on each
question's own text, so that adding one moves no other. Nothing is answered or scored here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz import fuzz, process

from dreamlab.directory.catalog import Catalog
from dreamlab.errors import DirectoryError
from dreamlab.records import Question, TaskKind, to_json
from dreamlab.training.generated import SAME_LETTERS, SLICES, Draft, generated, held_out

__all__ = [
    "SLICES",
    "Benchmark",
    "held_out",
    "load_benchmark",
    "near_duplicate_check",
    "near_duplicates",
    "questions_hash",
]

FILE = "questions.jsonl"
SAME_MEANING = 0.82
"""Cosine of MiniLM embeddings, with or without the punctuation at a text's ends: light paraphrases
of natural questions reach .88 and more. Between .82 and .85 lie questions outside any directory
that differ in a detail, and facts of the same service in other fields."""

Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Benchmark:
    """All questions, ordered by id, and their hash. `left_out` counts the hand-written ones that
    accept a service which this directory has not got."""

    questions: tuple[Question, ...]
    hash: str
    left_out: int = 0

    def half(self, half: str) -> tuple[Question, ...]:
        """The questions of one half, `decide` or `report`."""
        return tuple(question for question in self.questions if question.half == half)


def load_benchmark(catalog: Catalog) -> Benchmark:
    """The hand-written questions beside the directory's rows, if any, and the generated ones.

    Raises:
        DirectoryError: the file of questions is broken; the message names file and line.
    """
    path = catalog.folder / FILE if catalog.folder else None
    written = _natural(path) if path and path.is_file() else []
    natural = [q for q in written if all(service in catalog for service in q.accepted)]
    made = {question.id: question for question in map(_question, generated(catalog))}
    questions = tuple(sorted((*natural, *made.values()), key=lambda q: q.id))
    return Benchmark(questions, questions_hash(questions), len(written) - len(natural))


def questions_hash(questions: Iterable[Question]) -> str:
    """SHA-256 over everything in the questions, whatever their order."""
    ordered = sorted(questions, key=lambda q: q.id)
    return hashlib.sha256(to_json(ordered).encode()).hexdigest()


def near_duplicates(
    questions: Iterable[Question],
    texts: Sequence[str],
    embed: Embed,
    threshold: float = SAME_MEANING,
) -> tuple[bool, ...]:
    """Of each text, whether it nearly is a benchmark question; see `near_duplicate_check`."""
    return near_duplicate_check(questions, embed, threshold)(texts)


def near_duplicate_check(
    questions: Iterable[Question], embed: Embed, threshold: float = SAME_MEANING
) -> Callable[[Sequence[str]], tuple[bool, ...]]:
    """A check of texts against the questions, which are embedded once.

    A text is a near duplicate when the cosine of its embedding with any question's reaches
    `threshold`, or when it is one up to a few letters. `embed` maps n texts to float32 [n, d]
    with rows of length 1.
    """
    written = [question.question for question in questions]
    asked = [_plain(text) for text in written]
    known = (embed(asked), embed(written)) if asked else None

    def check(texts: Sequence[str]) -> tuple[bool, ...]:
        if known is None or not texts:
            return (False,) * len(texts)
        plain = [_plain(text) for text in texts]
        pairs = zip((plain, list(texts)), known, strict=True)
        meaning = np.max([(embed(form) @ to.T).max(axis=1) for form, to in pairs], axis=0)
        letters = process.cdist(plain, asked, scorer=fuzz.ratio, score_cutoff=SAME_LETTERS)
        return tuple(bool(near) for near in (meaning >= threshold) | (letters.max(axis=1) > 0))

    return check


def _plain(text: str) -> str:
    """The text as it is compared: in lower case, without punctuation at its ends."""
    return " ".join(text.casefold().split()).strip(" .?!¿¡")


def _half(question_id: str, text: str) -> str:
    digest = hashlib.sha256(f"{question_id}\n{text}".encode()).digest()
    return "decide" if digest[0] % 2 else "report"


def _question(draft: Draft) -> Question:
    key = f"{draft.kind} {draft.field} {draft.question}"
    name = f"gen-{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    return Question(
        id=name,
        question=draft.question,
        kind=draft.kind,
        source="generated",
        half=_half(name, draft.question),
        language=draft.language,
        essential=draft.accepted,
        accepted=draft.accepted,
        field=draft.field,
        tags=(draft.tag,),
        cell=draft.cell,
    )


def _natural(path: Path) -> list[Question]:
    """The hand-written questions, one JSON object a line; blank lines are skipped."""
    questions: dict[str, Question] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DirectoryError(f"cannot read {path}: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            question = _written(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise DirectoryError(f"{path} line {number} is no question: {error!r}") from None
        if question.id in questions:
            raise DirectoryError(f"{path} line {number}: id {question.id} is there twice")
        questions[question.id] = question
    return list(questions.values())


def _written(entry: Mapping[str, Any]) -> Question:
    question = Question(
        id=entry["id"],
        question=entry["question"],
        kind=TaskKind(entry["kind"]),
        source="natural",
        half=_half(entry["id"], entry["question"]),
        language=entry.get("language", "en"),
        essential=tuple(entry.get("essential", ())),
        accepted=tuple(entry.get("accepted", ())),
        field=entry.get("field", ""),
        tags=tuple(entry.get("tags", ())),
    )
    if bool(question.accepted) == (question.kind is TaskKind.NONE):
        raise ValueError("a question has accepted services unless its kind is none")
    if not set(question.essential) <= set(question.accepted):
        raise ValueError("an essential service is not among the accepted")
    return question
