"""From what is known to what is dreamt tonight: curriculum, cells, texts, and the gaps found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import PhraseBank
from dreamlab.exploration.curriculum import curriculum
from dreamlab.exploration.generator import LANGUAGES, MIX, dream
from dreamlab.exploration.open_dreams import open_dreams
from dreamlab.exploration.strategies import choose, open_cells
from dreamlab.records import Experience, Question, Task, TaskKind
from dreamlab.training.benchmark import Embed, held_out, near_duplicate_check

GAPS_REPORTED = 20


@dataclass(frozen=True, slots=True)
class NightDreams:
    """A night's tasks, the directory's gaps they touch, and why these were chosen."""

    tasks: tuple[Task, ...]
    gaps: tuple[str, ...]
    notes: tuple[str, ...]


def plan_dreams(
    *,
    night: str,
    count: int,
    strategy: str,
    need: str,
    group: str,
    seed: int,
    catalog: Catalog,
    phrases: PhraseBank,
    experiences: Sequence[Experience],
    questions: Sequence[Question],
    embed: Embed,
    open_count: int = 0,
) -> NightDreams:
    """Choose and word `count` dreams; the same arguments give the same dreams.

    Nothing near to a benchmark question is dreamt, no held-out combination is visited, and no
    text of an earlier night is repeated while there is anything else to say. `open_count` open
    dreams come on top: give it only where a language model can answer them.

    Raises:
        NightError: the strategy, need or group is unknown, or nothing can be dreamt about.
    """
    known = curriculum(experiences)
    cells = choose(
        strategy,
        open_cells(catalog, held_out),
        known,
        count,
        Random(f"{seed}/{night}/cells"),
        need=need,
        group=group,
    )
    aimed = strategy == "weakness"
    asked = [e for e in experiences if e.task.kind == TaskKind.ASKED]
    dreams = dream(
        night,
        count,
        seed,
        cells,
        catalog,
        phrases,
        asked,
        near_duplicate_check(questions, embed),
        held_out=held_out,
        earlier={e.task.question for e in experiences},
        strategy=strategy,
        mix=known.tilt(MIX, known.kinds) if aimed else MIX,
        languages=known.tilt(LANGUAGES, known.languages) if aimed else LANGUAGES,
    )
    notes = [f"strategy {strategy}: {known}"]
    if dreams.refused:
        notes.append(f"{dreams.refused} texts were too near to the benchmark and were replaced")
    notes += [f"{number} dreams fewer: {reason}" for reason, number in dreams.dropped.items()]
    gaps = catalog.gaps(need=need or None, group=group or None)
    shown = Random(f"{seed}/{night}/gaps").sample(gaps, min(GAPS_REPORTED, len(gaps)))
    opened = open_dreams(night, open_count, seed, cells, strategy)
    return NightDreams((*dreams.tasks, *opened), tuple(map(str, sorted(shown))), tuple(notes))
