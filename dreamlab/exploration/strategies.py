"""Which parts of the directory to dream about: pure choices over cells, by name.

A cell is a need with or without a group and a place. Plain needs get their share of a night and
the other three shapes of cells share the rest equally, so that the many full combinations do not
crowd them out; within a shape the strategy chooses. Nothing here words a question.
"""

from __future__ import annotations

import difflib
import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from dreamlab.directory.catalog import Catalog
from dreamlab.errors import NightError
from dreamlab.exploration.curriculum import Cell, Curriculum

PLAIN_SHAPE = (False, False)
PLAIN = 0.25
"""Share of the cells of a night that are a need without group and place."""

HeldOut = Callable[[str, str, str], bool]
Pick = Callable[[Sequence[Cell], Curriculum, int, Random], list[Cell]]


def nothing_held_out(need: str, group: str, place: str) -> bool:
    """The rule of a directory without a benchmark: every combination may be dreamt."""
    return False


def open_cells(catalog: Catalog, held_out: HeldOut = nothing_held_out) -> tuple[Cell, ...]:
    """Every cell that some row fits exactly and that the benchmark does not hold out, sorted.

    A row without groups serves every group, one without a place every place.
    """
    cells: set[Cell] = set()
    everywhere: set[tuple[str, str]] = set()
    for row in catalog.services:
        served = [(n, g) for n in row.needs for g in ("", *(row.groups or catalog.groups))]
        cells.update(Cell(n, g, p) for n, g in served for p in {"", row.place})
        if not row.place:
            everywhere.update(served)
    cells.update(Cell(n, g, p) for n, g in everywhere for p in catalog.places)
    return tuple(sorted(cell for cell in cells if not held_out(*cell)))


def choose(
    strategy: str,
    cells: Sequence[Cell],
    curriculum: Curriculum,
    count: int,
    rng: Random,
    *,
    need: str = "",
    group: str = "",
    plain: float = PLAIN,
) -> list[Cell]:
    """`count` cells to dream about, in the order of dreaming; a cell may come again.

    A given `need` or `group` restricts any strategy to it; `focus` asks for at least one of them
    and then goes in breadth. `curriculum` goes in breadth while nothing is known of the base.
    `plain` is the share of cells that are a need alone.

    Raises:
        NightError: the strategy, need or group is unknown (the message names close ones), no
            cell is left, or `focus` was given nothing to focus on.
    """
    pick = STRATEGIES.get(strategy)
    if pick is None:
        raise NightError(f"unknown strategy {strategy!r}: {_close(strategy, STRATEGIES)}")
    if strategy == "focus" and not (need or group):
        raise NightError("the focus strategy needs a need or a group to focus on")
    _known("need", need, {cell.need for cell in cells})
    _known("group", group, {cell.group for cell in cells} - {""})
    kept = [c for c in cells if c.need == (need or c.need) and c.group == (group or c.group)]
    if not kept:
        asked = " for ".join(part for part in (need, group) if part) or "any need"
        raise NightError(f"the directory lists nothing to dream about: {asked}; try another one")
    shapes: defaultdict[tuple[bool, bool], list[Cell]] = defaultdict(list)
    for cell in kept:
        shapes[bool(cell.group), bool(cell.place)].append(cell)
    order = sorted(shapes)
    rng.shuffle(order)
    alone = round(plain * count) if PLAIN_SHAPE in shapes else 0
    others = [shape for shape in order if shape != PLAIN_SHAPE]
    alone = alone if others else count
    wanted = [PLAIN_SHAPE] * alone + [others[i % len(others)] for i in range(count - alone)]
    chosen = {s: iter(pick(shapes[s], curriculum, wanted.count(s), rng)) for s in order}
    rng.shuffle(wanted)
    return [next(chosen[shape]) for shape in wanted]


def by_chance(cells: Sequence[Cell], curriculum: Curriculum, count: int, rng: Random) -> list[Cell]:
    """Cells drawn alike, none again before every other one was drawn."""
    drawn: list[Cell] = []
    while len(drawn) < count:
        drawn += rng.sample(cells, min(len(cells), count - len(drawn)))
    return drawn


def by_breadth(
    cells: Sequence[Cell], curriculum: Curriculum, count: int, rng: Random
) -> list[Cell]:
    """The least visited cells first, each choice counted as a visit; ties fall by chance."""
    queue = [(curriculum.visits.get(cell, 0), rng.random(), cell) for cell in cells]
    heapq.heapify(queue)
    chosen = []
    for _ in range(count):
        visits, _, cell = queue[0]
        chosen.append(cell)
        heapq.heapreplace(queue, (visits + 1, rng.random(), cell))
    return chosen


def by_curriculum(
    cells: Sequence[Cell], curriculum: Curriculum, count: int, rng: Random
) -> list[Cell]:
    """Cells drawn by what the curriculum says they deserve, without replacement while they last.

    The draw is that of Efraimidis and Spirakis (2006): the largest of u ** (1 / weight).
    """
    if not curriculum.measured:
        return by_breadth(cells, curriculum, count, rng)
    drawn: list[Cell] = []
    while len(drawn) < count:
        keyed = ((rng.random() ** (1 / curriculum.weight(cell)), cell) for cell in cells)
        drawn += [cell for _, cell in heapq.nlargest(count - len(drawn), keyed)]
    return drawn


STRATEGIES: Mapping[str, Pick] = {
    "random": by_chance,
    "breadth": by_breadth,
    "curriculum": by_curriculum,
    "focus": by_breadth,
}
"""The strategies by name."""


def _known(what: str, name: str, names: Iterable[str]) -> None:
    if name and name not in names:
        raise NightError(f"unknown {what} {name!r}: {_close(name, names)}")


def _close(name: str, names: Iterable[str]) -> str:
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}"
