"""Training examples: a view over verified experiences, and the datasets made of it.

Only what a check verified becomes an example. Nothing is stored but the exported dataset of one
training; replay is to view the experiences of all nights again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamlab.errors import TrainingError
from dreamlab.files import write_atomic
from dreamlab.records import Answer, Example, Experience, Referral, Role

FORMATS = ("completion", "instruction", "comparison")
DATASET, LINEAGE = "dataset.jsonl", "lineage.json"

Encode = Callable[[Referral], str]


@dataclass(frozen=True, slots=True)
class Dataset:
    """An exported dataset: its JSONL file, the file's SHA-256, the rows in it, and the keys of
    the experiences they come from, one for each row."""

    path: Path
    sha256: str
    count: int
    lineage: tuple[str, ...] = ()


def examples(experiences: Iterable[Experience]) -> list[Example]:
    """What may be learnt of verified experiences, in their order.

    `chosen` is the team's referral cut down to what a completion says; `rejected` the base
    model's, where it could be parsed and says something else. Of a question asked more than once
    (case and spaces aside) the last experience counts, in the place of the first.
    """
    found: dict[str, Example] = {}
    for experience in experiences:
        answer = experience.answer(Role.TEAM)
        if not experience.verified or answer is None:
            continue
        chosen = completed(answer.referral)
        if not chosen.understood:
            continue
        task = experience.task
        found[" ".join(task.question.casefold().split())] = Example(
            experience_id=experience.id,
            night=task.night,
            kind=task.kind,
            question=task.question,
            chosen=chosen,
            rejected=_rejected(experience.answer(Role.BASE), chosen),
        )
    return list(found.values())


def completed(referral: Referral) -> Referral:
    """A referral cut down to what the completion format writes: no ids; a refusal or the field
    of a fact alone; otherwise needs, groups and place."""
    if referral.nothing_fits:
        return Referral(nothing_fits=True)
    if referral.field:
        return Referral(field=referral.field)
    return Referral(needs=referral.needs, groups=referral.groups, place=referral.place)


def _rejected(base: Answer | None, chosen: Referral) -> Referral | None:
    if base is None or not base.well_formed:
        return None
    said = completed(base.referral)
    return said if said.understood and _facets(said) != _facets(chosen) else None


def _facets(referral: Referral) -> tuple[object, ...]:
    return (
        frozenset(referral.needs),
        frozenset(referral.groups),
        referral.place,
        referral.field,
        referral.nothing_fits,
    )


def usable(examples: Iterable[Example], format_name: str) -> list[Example]:
    """The examples that a format can use: a comparison needs a rejected answer."""
    return [e for e in examples if e.rejected is not None or format_name != "comparison"]


def rows(examples: Iterable[Example], format_name: str, encode: Encode) -> list[dict[str, Any]]:
    """The rows that TRL trains on, one for each usable example.

    `completion`: texts `prompt` and `completion`; `instruction`: the same two as lists of
    messages; `comparison`: texts `prompt`, `chosen` and `rejected`. `encode` writes a referral as
    a completion.

    Raises:
        TrainingError: there is no such format.
    """
    if format_name not in FORMATS:
        raise TrainingError(f"no format {format_name!r}: there are {', '.join(FORMATS)}")
    return [_row(example, format_name, encode) for example in usable(examples, format_name)]


def _row(example: Example, format_name: str, encode: Encode) -> dict[str, Any]:
    question, chosen = example.question, encode(example.chosen)
    if format_name == "instruction":
        return {
            "prompt": [{"role": "user", "content": question}],
            "completion": [{"role": "assistant", "content": chosen}],
        }
    if format_name == "comparison" and example.rejected is not None:
        return {"prompt": question, "chosen": chosen, "rejected": encode(example.rejected)}
    return {"prompt": question, "completion": chosen}


def lineage_of(path: Path) -> list[str]:
    """The experiences that an exported dataset's lineage file names, one for each row."""
    return list(json.loads(path.read_text(encoding="utf-8"))["experiences"])


def forgotten(folder: Path) -> bool:
    """Whether examples of the training in `folder` were forgotten since."""
    return bool(json.loads((folder / LINEAGE).read_text(encoding="utf-8")).get("forgotten"))


def export(rows: Sequence[dict[str, Any]], folder: Path, lineage: Sequence[str] = ()) -> Dataset:
    """Writes the exact rows of a training to `folder`, with their lineage beside them.

    The same rows give the same bytes and hash. `lineage` holds the experience of each row.

    Raises:
        StorageError: the folder cannot be written.
    """
    lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows]
    text = "".join(lines)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    ids = {"sha256": sha256, "count": len(rows), "experiences": list(lineage)}
    write_atomic(folder / LINEAGE, json.dumps(ids, indent=1) + "\n")
    write_atomic(folder / DATASET, text)
    return Dataset(folder / DATASET, sha256, len(rows), tuple(lineage))
