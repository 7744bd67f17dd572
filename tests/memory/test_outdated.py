"""What the directory of today says of what was learnt yesterday."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dreamlab.directory.catalog import Catalog
from dreamlab.memory.codec import experience_row, reflection_row, remembered
from dreamlab.memory.outdated import current, holds
from dreamlab.memory.reflection import reflect
from dreamlab.records import Answer, Experience, Memory, Referral, Role, Service, Task, TaskKind

NOW = datetime(2026, 11, 23, tzinfo=UTC)

PANTRY = Service("s-1", "Hands", "Green Door Pantry", ("food",), ("seniors",), place="Delano")
SHELTER = Service("s-2", "Hands", "Night Shelter", ("housing",), place="Taft")
BEFORE = Catalog("small", [PANTRY, SHELTER])
CLOSED = Catalog("small", [SHELTER], closed=[PANTRY])
MOVED = Catalog("small", [replace(PANTRY, place="Taft"), SHELTER])
WIDER = Catalog("small", [PANTRY, SHELTER, replace(SHELTER, id="s-3", place="Visalia")])


def experience(
    expected: Referral,
    question: str = "a question",
    kind: TaskKind = TaskKind.REFERRAL,
    provenance: Sequence[str] = (),
) -> Experience:
    task = Task("t-1", question, kind, "night-1", "en", expected, "", tuple(provenance))
    return Experience(task, (Answer(Role.TEAM, expected),), NOW, True)


FACT = experience(
    Referral(field="phone", service_ids=("s-1",)), "phone of the Green Door Pantry?", TaskKind.FACT
)
AWAY = experience(
    Referral(nothing_fits=True), "food in Visalia?", TaskKind.NONE, ("elsewhere.en.1", "needs.x")
)


@pytest.mark.parametrize(
    ("learnt", "held", "held_not"),
    [
        (FACT, (BEFORE, MOVED), (CLOSED,)),
        (experience(Referral(("food",), service_ids=("s-1",))), (BEFORE, MOVED), (CLOSED,)),
        (experience(Referral(("food",))), (BEFORE, MOVED, WIDER), (CLOSED,)),
        (experience(Referral(("housing",))), (BEFORE, CLOSED, MOVED), ()),
        (experience(Referral(("housing",), place="Delano")), (BEFORE,), (CLOSED, MOVED)),
        (AWAY, (BEFORE, CLOSED), (WIDER,)),
        (experience(Referral(nothing_fits=True), "pizza in Taft?", TaskKind.NONE), (BEFORE,), ()),
    ],
)
def test_what_the_directory_no_longer_bears_out_holds_no_longer(
    learnt: Experience, held: tuple[Catalog, ...], held_not: tuple[Catalog, ...]
) -> None:
    assert all(holds(learnt, catalog) for catalog in held)
    assert not any(holds(learnt, catalog) for catalog in held_not)


def memory(row) -> Memory:  # type: ignore[no-untyped-def]
    return remembered(row.key, row.record)


def test_no_memory_speaks_of_a_closed_service() -> None:
    cited = experience(Referral(("housing",), service_ids=("s-2",)), "Who runs a shelter?")
    dropped = replace(
        cited, answers=(*cited.answers, Answer(Role.SEARCH, Referral(service_ids=("s-1",))))
    )
    memories = [
        memory(experience_row(FACT)),
        memory(reflection_row(reflect(FACT))),
        memory(reflection_row(reflect(dropped))),  # names its id among what was left out
        memory(experience_row(cited)),
        memory(reflection_row(reflect(cited))),
    ]

    def recall(limit: int) -> list[Memory]:
        return memories[:limit]

    assert current(recall, BEFORE, 2) == memories[:2]
    assert current(recall, CLOSED, 2) == memories[3:], "more are asked for in their stead"
    assert current(recall, CLOSED, 9) == memories[3:]


def test_a_name_that_says_nothing_closes_no_mouth() -> None:
    lone = Catalog("small", [SHELTER], closed=[replace(PANTRY, id="70", name="Pantry")])
    shared = Catalog("small", [SHELTER], closed=[replace(SHELTER, id="s-9")])
    assert not lone.speaks_of_closed("is there a pantry? he is 70")
    assert not shared.speaks_of_closed("where is the night shelter?")
    assert shared.speaks_of_closed("the team cited s-9.")
    assert CLOSED.speaks_of_closed("The green door PANTRY, please")
