"""What experience says about where to dream next: what is at the edge of what the base model can.

Pure: experiences in, one frozen `Curriculum` out. It knows which parts of the directory were
dreamt about how often, what people asked lately, and how often the base model understood each
need, group, place, level of difficulty and language. It chooses nothing; the strategies read it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

from dreamlab.exploration.check import misread
from dreamlab.records import Answer, Experience, Referral, Role, Task, TaskKind

FADING = 0.5
"""What an answer of one night earlier counts: the base model has changed since."""

PRIOR = 1.0
"""Right and wrong answers that every value starts with (Laplace's rule of succession)."""

LEVELS = ("one need", "place and group", "conditions", "several needs", "facts", "refusals")
"""Levels of difficulty, the easiest first. Conditions are the hours, fees and eligibility of a
service; facts all else that is asked about one."""

CONDITIONS = ("hours", "fees", "eligibility")

MASTERED = 0.6
"""Share of a level that the base model gets right from which the next level is open."""

CLOSED = 0.75
"""What a dream of a level that is not open yet counts beside one of an open level."""

SURE = 0.2
"""What is learnt from a cell that the base model always, or never, gets right, beside one that it
gets right every other time. Not nothing: its rates are estimates, and skills are kept by use."""


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
    def success(self) -> float:
        """The smoothed share of right answers, in (0, 1); one half when nothing is known."""
        return (self.right + PRIOR) / (self.right + self.wrong + 2 * PRIOR)


@dataclass(frozen=True, slots=True)
class Curriculum:
    """Visits of each cell, the base model's tallies for each value, and what was asked lately.

    In `groups` and `places` the key "" stands for questions that word none. `asked` is each
    need's share of what people asked, summing up to 1, or empty.
    """

    visits: Mapping[Cell, int] = field(default_factory=dict)
    dreams: int = 0
    needs: Mapping[str, Tally] = field(default_factory=dict)
    groups: Mapping[str, Tally] = field(default_factory=dict)
    places: Mapping[str, Tally] = field(default_factory=dict)
    levels: Mapping[str, Tally] = field(default_factory=dict)
    languages: Mapping[str, Tally] = field(default_factory=dict)
    asked: Mapping[str, float] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        """Whether anything is known of the base model."""
        return bool(self.levels)

    def chance(self, cell: Cell) -> float:
        """How likely the base model understands a question at this cell, in (0, 1).

        The success rates of its need, group and place, multiplied; a part that was never dreamt
        is as likely as not.
        """
        unknown = Tally()
        return (
            self.needs.get(cell.need, unknown).success
            * self.groups.get(cell.group, unknown).success
            * self.places.get(cell.place, unknown).success
        )

    def weight(self, cell: Cell) -> float:
        """How much a cell deserves a dream, above 0.

        Most is learnt where the base model is right about every other time: the variance of its
        success, 4 p (1 - p) at a chance p, never less than `SURE` (Florensa et al., "Automatic
        Goal Generation", arXiv 1705.06366, prefer goals of intermediate difficulty alike). That
        is divided by one plus the cell's visits, and grows up to threefold with its need's share
        of what people asked.
        """
        p = self.chance(cell)
        novelty = 1 / (1 + self.visits.get(cell, 0))
        return max(SURE, 4 * p * (1 - p)) * novelty * (1 + 2 * self.asked.get(cell.need, 0.0))

    def opened(self) -> tuple[str, ...]:
        """The levels that are open: the first, and each after one that is mastered."""
        count = 1
        while (
            count < len(LEVELS) and self.levels.get(LEVELS[count - 1], Tally()).success >= MASTERED
        ):
            count += 1
        return LEVELS[:count]

    def lean(self, shares: Mapping[str, float]) -> dict[str, float]:
        """Shares of the levels in a night, leaning to what is open and half understood.

        A level's share is multiplied by one plus the variance of its success (see `weight`) and,
        as long as it is not open, by `CLOSED`; the shares sum up to 1.
        """
        opened = self.opened()

        def pull(level: str) -> float:
            p = self.levels.get(level, Tally()).success
            return (1 + 4 * p * (1 - p)) * (1.0 if level in opened else CLOSED)

        return _normed({level: share * pull(level) for level, share in shares.items()})

    def tilt(self, shares: Mapping[str, float]) -> dict[str, float]:
        """Shares of the languages, leaning to where the base fails; they sum up to 1.

        Each share is multiplied by three halves minus the success rate, so that none grows or
        shrinks more than threefold against another.
        """
        unknown = Tally()
        return _normed(
            {k: v * (1.5 - self.languages.get(k, unknown).success) for k, v in shares.items()}
        )

    def notes(self, cells: Sequence[Cell]) -> list[str]:
        """Why these cells: what was known of the base model, and what they are to it."""
        visited = f"{self.dreams} dreams so far, {len(self.visits)} cells visited"
        if not self.measured:
            return [f"{visited}; nothing is known of the base model yet"]
        levels = ", ".join(
            f"{level} {self.levels[level].success:.0%}" for level in LEVELS if level in self.levels
        )
        chances = [self.chance(cell) for cell in cells]
        half = sum(0.3 <= p <= 0.7 for p in chances)
        new = sum(cell not in self.visits for cell in cells)
        found = [
            f"{visited}; the base model's share of right answers, by level: {levels}; "
            f"open: {', '.join(self.opened())}",
            f"cells chosen: {half} of {len(cells)} that it gets right about half of the time, "
            f"{sum(p < 0.3 for p in chances)} harder, {sum(p > 0.7 for p in chances)} easier; "
            f"{new} never dreamt of before",
            f"it fails most at: {self._weakest()}",
        ]
        if self.asked:
            most = sorted(self.asked, key=lambda need: (-self.asked[need], need))[:3]
            found.append(f"asked most lately: {', '.join(most)}")
        return found

    def _weakest(self) -> str:
        parts = (
            ("needs", self.needs),
            ("groups", self.groups),
            ("places", self.places),
            ("languages", self.languages),
        )
        found = [f"{name} {line}" for name, table in parts if (line := _weakest(table))]
        return "; ".join(found) or "nothing yet"


def curriculum(
    experiences: Iterable[Experience], probes: Iterable[tuple[Task, Answer]] = ()
) -> Curriculum:
    """The curriculum that experiences teach, in any order.

    The base model's answer to a dream is compared with the known one by `check.misread`. `probes`
    are its present answers to tasks that nobody learns from: they count fully, those of the
    latest night `FADING` times, as another version gave them, and so on. Of what people asked
    only the needs that the team understood count.
    """
    seen = list(experiences)
    dreams = [e for e in seen if e.task.kind != TaskKind.ASKED]
    nights = sorted({e.task.night for e in dreams}, reverse=True)
    age = {night: position for position, night in enumerate(nights)}
    tables: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    probed = [(task, answer, 1.0) for task, answer in probes]
    dreamt = [
        (dream.task, answer, FADING ** (age[dream.task.night] + bool(probed)))
        for dream in dreams
        if (answer := dream.answer(Role.BASE))
    ]
    for task, answer, worth in (*dreamt, *probed):
        for table, key, right in _measure(task, answer):
            tables[table][key][0 if right else 1] += worth
    tallies = {
        name: {key: Tally(*counts) for key, counts in sorted(table.items())}
        for name, table in tables.items()
    }
    visits = Counter(cell for d in dreams for cell in cells_asked(d.task.expected))
    asked = Counter(
        need
        for e in seen
        if e.task.kind == TaskKind.ASKED and (answer := e.answer(Role.TEAM))
        for need in answer.referral.needs
    )
    return Curriculum(visits, len(dreams), **tallies, asked=_normed(asked))


def level_of(expected: Referral | None) -> str:
    """The level of difficulty of a dream; empty for an open one, which has no known answer."""
    if expected is None:
        return ""
    if expected.nothing_fits:
        return "refusals"
    if expected.field:
        return "conditions" if expected.field in CONDITIONS else "facts"
    if len(expected.needs) > 1:
        return "several needs"
    return "place and group" if expected.groups or expected.place else "one need"


def cells_asked(expected: Referral | None) -> tuple[Cell, ...]:
    """The cells that a known answer asks for; none for a fact, a refusal or an open task."""
    if expected is None or expected.field:
        return ()
    combined = product(expected.needs, expected.groups or ("",))
    return tuple(Cell(need, group, expected.place) for need, group in combined)


def _measure(task: Task, base: Answer) -> Iterator[tuple[str, str, bool]]:
    """Whether the base was right, as (table, key, right), facet by facet and as a whole."""
    expected = task.expected
    if expected is None:
        return
    got = base.referral
    wrong = misread(expected, base)
    yield "levels", level_of(expected), not wrong
    yield "languages", task.language, not wrong
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
        ((k, t) for k, t in table.items() if t.wrong), key=lambda item: (item[1].success, item[0])
    )
    return ", ".join(f"{key or 'none worded'} {t.success:.0%}" for key, t in ranked[:shown])


def _normed(shares: Mapping[str, float]) -> dict[str, float]:
    total = sum(shares.values())
    return {name: share / total for name, share in sorted(shares.items())} if total else {}
