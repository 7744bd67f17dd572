"""What experience says about where to dream next: visits, and where the base model fails.

Pure: experiences in, one frozen `Curriculum` out. It knows which parts of the directory were
dreamt about how often, and how often the base model understood each need, group, place, kind of
task and language. It decides nothing; the strategies read it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

from dreamlab.exploration.check import misread
from dreamlab.records import Experience, Referral, Role, TaskKind

FADING = 0.5
"""What an answer of one night earlier counts: the base model has changed since."""

PRIOR = 1.0
"""Right and wrong answers that every value starts with (Laplace's rule of succession)."""


class Cell(NamedTuple):
    """One combination to dream about; an empty group or place means that none is worded."""

    need: str
    group: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """How often the base model was right and wrong; older answers count less."""

    right: float = 0.0
    wrong: float = 0.0

    @property
    def failure(self) -> float:
        """The smoothed share of wrong answers, in (0, 1); one half when nothing is known."""
        return (self.wrong + PRIOR) / (self.right + self.wrong + 2 * PRIOR)


@dataclass(frozen=True, slots=True)
class Curriculum:
    """Visits for each cell and kind, and the base model's tallies for each value.

    In `groups` and `places` the key "" stands for questions that word none.
    """

    visits: Mapping[Cell, int] = field(default_factory=dict)
    kinds_visited: Mapping[str, int] = field(default_factory=dict)
    needs: Mapping[str, Tally] = field(default_factory=dict)
    groups: Mapping[str, Tally] = field(default_factory=dict)
    places: Mapping[str, Tally] = field(default_factory=dict)
    kinds: Mapping[str, Tally] = field(default_factory=dict)
    languages: Mapping[str, Tally] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        """Whether anything is known of the base model."""
        return bool(self.kinds)

    def weight(self, cell: Cell) -> float:
        """How much a cell deserves a dream, in (0, 1): its parts' failure rates multiplied."""
        unknown = Tally()
        return (
            self.needs.get(cell.need, unknown).failure
            * self.groups.get(cell.group, unknown).failure
            * self.places.get(cell.place, unknown).failure
        )

    def tilt(self, shares: Mapping[str, float], table: Mapping[str, Tally]) -> dict[str, float]:
        """Shares of kinds or languages, leaning to where the base fails; they sum up to 1.

        Each share is multiplied by one half plus the failure rate, so that none grows or
        shrinks more than threefold against another.
        """
        raw = {k: v * (0.5 + table.get(k, Tally()).failure) for k, v in shares.items()}
        total = sum(raw.values())
        return {k: v / total for k, v in raw.items()}

    def __str__(self) -> str:
        visited = f"{sum(self.kinds_visited.values())} dreams, {len(self.visits)} cells visited"
        if not self.measured:
            return f"{visited}; nothing is known of the base model yet"
        parts = (
            ("needs", self.needs),
            ("groups", self.groups),
            ("places", self.places),
            ("kinds", self.kinds),
            ("languages", self.languages),
        )
        weak = (f"{name} {line}" for name, table in parts if (line := _weakest(table)))
        return f"{visited}; the base fails most at: {'; '.join(weak)}"


def curriculum(experiences: Iterable[Experience]) -> Curriculum:
    """The curriculum that dreamt experiences teach, in any order; asked ones are left out.

    The base model's answer is compared with the known one by `check.misread`; the latest night
    counts fully and each earlier one `FADING` times the next.
    """
    dreams = [e for e in experiences if e.task.kind != TaskKind.ASKED]
    nights = sorted({e.task.night for e in dreams}, reverse=True)
    age = {night: position for position, night in enumerate(nights)}
    tables: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    for dream in dreams:
        for table, key, right in _measure(dream):
            tables[table][key][0 if right else 1] += FADING ** age[dream.task.night]
    tallies = {
        name: {key: Tally(*counts) for key, counts in sorted(table.items())}
        for name, table in tables.items()
    }
    visits = Counter(cell for d in dreams for cell in cells_asked(d.task.expected))
    return Curriculum(visits, Counter(str(d.task.kind) for d in dreams), **tallies)


def cells_asked(expected: Referral | None) -> tuple[Cell, ...]:
    """The cells that a known answer asks for; none for a fact, a refusal or an open task."""
    if expected is None or expected.field:
        return ()
    combined = product(expected.needs, expected.groups or ("",))
    return tuple(Cell(need, group, expected.place) for need, group in combined)


def _measure(dream: Experience) -> Iterator[tuple[str, str, bool]]:
    """Whether the base was right, as (table, key, right), facet by facet and as a whole."""
    expected, base = dream.task.expected, dream.answer(Role.BASE)
    if expected is None or base is None:
        return
    got = base.referral
    wrong = misread(expected, base)
    yield "kinds", str(dream.task.kind), not wrong
    yield "languages", dream.task.language, not wrong
    if expected.nothing_fits or expected.field:
        return
    for need in expected.needs:
        yield "needs", need, need in got.needs
    for group in expected.groups:
        yield "groups", group, group in got.groups
    if not expected.groups:
        yield "groups", "", base.well_formed and not got.groups
    yield "places", expected.place, base.well_formed and got.place == expected.place


def _weakest(table: Mapping[str, Tally], shown: int = 2) -> str:
    ranked: Sequence[tuple[str, Tally]] = sorted(
        ((k, t) for k, t in table.items() if t.wrong), key=lambda item: (-item[1].failure, item[0])
    )
    return ", ".join(f"{key or 'none worded'} {t.failure:.0%}" for key, t in ranked[:shown])
