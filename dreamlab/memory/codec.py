"""Records to rows of memory and back. Pure: it knows neither LanceDB nor vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from dreamlab.memory.reflection import about, importance
from dreamlab.records import (
    Experience,
    Memory,
    MemoryKind,
    Reflection,
    from_json,
    to_json,
)


@dataclass(frozen=True, slots=True)
class Row:
    """What is stored of an experience or a reflection, its vector aside.

    `text` is what is embedded and indexed; `record` the whole record as JSON; `key` is unique
    over all rows. `needs`, `groups` and `place` are those of the question, for filters.
    """

    key: str
    kind: MemoryKind
    night: str
    text: str
    needs: tuple[str, ...]
    groups: tuple[str, ...]
    place: str
    verified: bool | None
    importance: float
    created_at: datetime
    record: str


def experience_row(experience: Experience) -> Row:
    """The row of an experience: its question in words, filed under what it was about."""
    task = replace(experience.task, question=_storable(experience.task.question))
    subject = about(experience)
    return Row(
        key=f"{MemoryKind.EXPERIENCE}:{experience.id}",
        kind=MemoryKind.EXPERIENCE,
        night=task.night,
        text=task.question,
        needs=subject.needs,
        groups=subject.groups,
        place=subject.place,
        verified=experience.verified,
        importance=importance(experience),
        created_at=experience.created_at,
        record=to_json(replace(experience, task=task)),
    )


def reflection_row(reflection: Reflection) -> Row:
    """The row of a reflection or an insight, keyed by its kind, night and id."""
    note = replace(reflection, text=_storable(reflection.text))
    return Row(
        key=f"{note.kind}:{note.night}/{note.id}",
        kind=note.kind,
        night=note.night,
        text=note.text,
        needs=note.needs,
        groups=note.groups,
        place=note.place,
        verified=None,
        importance=note.importance,
        created_at=note.created_at,
        record=to_json(note),
    )


def remembered(key: str, record: str) -> Memory:
    """The memory, not yet scored, of the row with that key and that record as JSON.

    Raises:
        ValueError: the text is not JSON of such a record.
    """
    if not key.startswith(f"{MemoryKind.EXPERIENCE}:"):
        note = from_json(Reflection, record)
        return Memory(
            id=note.id,
            night=note.night,
            kind=note.kind,
            text=note.text,
            created_at=note.created_at,
            needs=note.needs,
            groups=note.groups,
            place=note.place,
        )
    experience = from_json(Experience, record)
    subject = about(experience)
    return Memory(
        id=experience.id,
        night=experience.task.night,
        kind=MemoryKind.EXPERIENCE,
        text=experience.task.question,
        created_at=experience.created_at,
        needs=subject.needs,
        groups=subject.groups,
        place=subject.place,
        experience=experience,
    )


def _storable(text: str) -> str:
    """The text without lone surrogates, which a shell may pass on and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
