from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

import pytest

from dreamlab.directory.catalog import Catalog, open_directory
from dreamlab.directory.phrases import PhraseBank, load_phrases
from dreamlab.exploration.curriculum import Curriculum
from dreamlab.exploration.generator import Dreams, dream
from dreamlab.exploration.strategies import choose, open_cells
from dreamlab.records import Answer, Experience, Referral, Role, Service, Task, TaskKind
from dreamlab.settings import Settings


@pytest.fixture(scope="session")
def kern() -> Catalog:
    return open_directory("kern", Settings())


@pytest.fixture(scope="session")
def kern_phrases(kern: Catalog) -> PhraseBank:
    return load_phrases(kern)


@pytest.fixture(scope="session")
def island() -> Catalog:
    """A directory that has nothing in common with the shipped one."""
    return Catalog(
        "island",
        [
            Service(
                id="i1",
                organization="Gull Rescue Society",
                name="Ferry dogs shelter",
                needs=("pet care", "lodging"),
                groups=("sailors",),
                place="Northport",
                phone="555-0101",
                description="Keeps dogs of sailors while they are at sea.",
            ),
            Service(
                id="i2",
                organization="Lantern House",
                name="Harbour beds",
                needs=("lodging",),
                groups=("sailors", "islanders"),
                place="Northport",
                hours="from dusk",
                description="Hammocks and lantern light for stranded travellers.",
            ),
            Service(
                id="i3",
                organization="Tide Clinic",
                name="Floating doctor",
                needs=("medicine",),
                place="",
                fees="free",
                description="A doctor's boat that visits every quay.",
            ),
        ],
        title="The island",
    )


@pytest.fixture
def night(kern: Catalog, kern_phrases: PhraseBank) -> Callable[..., Dreams]:
    """Plans a night on the shipped directory: `night(count, seed=..., noise=...)`."""

    def plan(count: int = 120, seed: int = 1, name: str = "2026-11-22", **given: object) -> Dreams:
        cells = choose("random", open_cells(kern), Curriculum(), count, Random(seed))
        return dream(name, count, seed, cells, kern, kern_phrases, **given)  # type: ignore[arg-type]

    return plan


def experience(
    expected: Referral | None,
    base: Referral | None = None,
    *,
    kind: TaskKind = TaskKind.REFERRAL,
    night: str = "2026-11-22",
    language: str = "en",
    question: str = "q",
    id: str = "d001",
    team: Referral | None = None,
) -> Experience:
    """An experience with what the base model (and the team) answered."""
    task = Task(id, question, kind, night, language, expected)
    answers = [Answer(Role.TEAM, team or expected or Referral())]
    if base is not None:
        answers.append(Answer(Role.BASE, base))
    return Experience(task, tuple(answers), datetime(2026, 11, 22, tzinfo=UTC))
