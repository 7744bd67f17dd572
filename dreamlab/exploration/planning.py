"""From what is known to what is dreamt tonight: curriculum, cells, texts, and the gaps found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import PhraseBank
from dreamlab.exploration.curriculum import Curriculum, curriculum
from dreamlab.exploration.generator import (
    ASKED_MIX,
    ASKED_STYLE,
    BY_LEVEL,
    LANGUAGES,
    dream,
    kinds_of,
    style_of,
)
from dreamlab.exploration.open_dreams import open_dreams
from dreamlab.exploration.strategies import choose, open_cells
from dreamlab.records import Answer, Experience, Question, Task, TaskKind
from dreamlab.training.benchmark import Embed, held_out, near_duplicate_check

GAPS_REPORTED = 20
PROBES = 120
"""Questions that the base model is asked before dreams are aimed."""

Propose = Callable[[Sequence[str]], Sequence[Answer]]
"""The base model: one answer for each question."""


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
    propose: Propose | None = None,
    as_asked: bool = False,
) -> NightDreams:
    """Choose and word `count` dreams; the same arguments give the same dreams.

    The strategy `curriculum` first asks the base model (`propose`), where there is one, `PROBES`
    questions drawn by chance: what it can do today, not what it could when it last dreamt. With
    `as_asked` the tasks are as people put them: life situations, no known answer.

    Nothing near to a benchmark question is dreamt, no held-out combination is visited, and no
    text of an earlier night is repeated while there is anything else to say. `open_count` open
    dreams come on top: give it only where a language model can answer them.

    Raises:
        NightError: the strategy, need or group is unknown, or nothing can be dreamt about.
    """
    aimed = strategy == "curriculum"
    free = open_cells(catalog, held_out)
    probes: list[tuple[Task, Answer]] = []
    if aimed and propose:
        rng = Random(f"{seed}/{night}/probes")
        drawn = choose("random", free, Curriculum(), PROBES, rng)
        asks = dream(f"{night}-probes", PROBES, seed, drawn, catalog, phrases).tasks
        probes = [*zip(asks, propose([task.question for task in asks]), strict=True)]
    known = curriculum(experiences, probes)
    levels = known.lean(BY_LEVEL) if aimed and known.measured else BY_LEVEL
    cells = choose(
        strategy,
        free,
        known,
        count,
        Random(f"{seed}/{night}/cells"),
        need=need,
        group=group,
        plain=levels["one need"] / (levels["one need"] + levels["place and group"]),
    )
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
        mix=ASKED_MIX if as_asked else kinds_of(levels),
        languages=known.tilt(LANGUAGES) if aimed else LANGUAGES,
        style=ASKED_STYLE if as_asked else style_of(levels),
    )
    notes = [f"strategy {strategy}: {note}" for note in known.notes(cells)]
    if aimed:
        shares = ", ".join(f"{level} {share:.0%}" for level, share in levels.items())
        notes.append(f"shares of the levels: {shares}")
    if dreams.refused:
        notes.append(f"{dreams.refused} texts were too near to the benchmark and were replaced")
    notes += [f"{number} dreams fewer: {reason}" for reason, number in dreams.dropped.items()]
    gaps = catalog.gaps(need=need or None, group=group or None)
    shown = Random(f"{seed}/{night}/gaps").sample(gaps, min(GAPS_REPORTED, len(gaps)))
    opened = open_dreams(night, open_count, seed, cells, strategy)
    tasks = tuple(replace(t, expected=None) for t in dreams.tasks) if as_asked else dreams.tasks
    return NightDreams((*tasks, *opened), tuple(map(str, sorted(shown))), tuple(notes))
