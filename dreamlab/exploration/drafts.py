"""One dream at a time: a question of a given kind at a given cell, with its known answer.

The known answer holds exactly what the wording asks for. Which kinds and cells a night gets is
the generator's and the strategies' business; how phrases go into frames is in `wording.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple, TypeVar

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import PhraseBank
from dreamlab.exploration.curriculum import CONDITIONS, Cell
from dreamlab.exploration.sources import SpokenNames, asked_frames, quotes
from dreamlab.exploration.strategies import HeldOut, open_cells
from dreamlab.exploration.wording import SLOT, Phrase, Vocabulary, fill, normal, roughen, suits
from dreamlab.records import (
    CITED_AT_MOST,
    FACT_FIELDS,
    Experience,
    Referral,
    Service,
    TaskKind,
)

T = TypeVar("T")

TRIES = 6
"""Draws for one dream before it is given up."""

IMPLIED = 0.8
"""A group that this share of a need's rows names goes without saying in a phrase of the need."""


@dataclass(frozen=True, slots=True)
class Style:
    """Shares, in [0, 1], of the ways of wording, where there is a choice."""

    situations: float = 0.5
    """Life situations, against words for the need."""
    imitated: float = 0.3
    """Frames of asked questions, against the bank's."""
    quoted: float = 0.3
    """Plain needs asked in a row's own words."""
    organizations: float = 0.3
    """Facts asked with the organization's name."""
    conditions: float = 0.5
    """Facts about the hours, fees or eligibility of a service, against all others."""
    elsewhere: float = 0.3
    """Outside questions that ask for a need at another place."""
    three_needs: float = 0.3
    """Cases of three needs, against two."""
    noise: float = 0.4
    """Questions with a typo, a greeting, no punctuation or the like."""


STYLE = Style()


class Draft(NamedTuple):
    """A dream before it has a number."""

    kind: TaskKind
    text: str
    language: str
    expected: Referral | None
    provenance: tuple[str, ...]


class NoDraft(Exception):
    """A draw that led nowhere; its message is the reason code."""


class Drafter:
    """Words dreams over one directory. It remembers what it used, so that a night varies."""

    def __init__(
        self,
        catalog: Catalog,
        phrases: PhraseBank,
        asked: Sequence[Experience],
        cells: Sequence[Cell],
        held_out: HeldOut,
        languages: Mapping[str, float],
        style: Style,
        rng: Random,
    ) -> None:
        self._catalog, self._style, self._rng = catalog, style, rng
        self._languages = languages
        self._words = Vocabulary(phrases)
        self.universe = frozenset(open_cells(catalog, held_out))
        self._imitated = asked_frames(asked, self._words)
        self._quotes = quotes(catalog, self._words)
        self._names = SpokenNames(catalog, self._words)
        self._implied = {need: _implied(catalog, need) for need in catalog.needs}
        needs, groups = {cell.need for cell in cells}, {cell.group for cell in cells}
        self._gaps = [
            gap
            for gap in catalog.gaps()
            if gap.need in needs
            and gap.group in groups
            and not held_out(gap.need, gap.group, gap.place)
        ]
        self._used: Counter[str] = Counter()
        self._fitting: dict[tuple[str, str, str, str], list[Phrase]] = {}
        self._kinds: Mapping[TaskKind, Callable[[Cell, str], Draft]] = {
            TaskKind.REFERRAL: self._referral,
            TaskKind.FACT: self._fact,
            TaskKind.EXPLAIN: self._explain,
            TaskKind.CASE: self._case,
            TaskKind.CONNECT: self._connect,
            TaskKind.NONE: self._none,
            TaskKind.GAP: self._gap,
        }

    def draft(self, kind: TaskKind, cell: Cell, avoided: Collection[str]) -> Draft:
        """One dream of that kind at that cell, its text (as `normal`) not among the avoided.

        Raises:
            NoDraft: none came out within `TRIES` draws.
        """
        reason = "no_wording"
        for _ in range(TRIES):
            language = self._rng.choices([*self._languages], [*self._languages.values()])[0]
            try:
                draft = self._kinds[kind](cell, language)
            except NoDraft as failure:
                reason = str(failure)
                continue
            rough = roughen(draft.text, draft.language, self._rng, self._style.noise)
            for text in dict.fromkeys((rough, draft.text)):
                if normal(text) in avoided:
                    reason = "repeated"
                elif not self._leads_home(draft.expected, text):
                    reason = "no_service"
                else:
                    self._used.update(draft.provenance)
                    return draft._replace(text=text)
        raise NoDraft(reason)

    def reword(self, kind: TaskKind, expected: Referral, cells: Sequence[Cell]) -> Draft:
        """Another dream of that kind with the same known answer; one that nothing fits may ask
        for anything that lies outside, with the needs of any of `cells`.

        Raises:
            NoDraft: this draw led nowhere.
        """
        language = self._rng.choices([*self._languages], [*self._languages.values()])[0]
        if expected.nothing_fits:
            draft = self._none(self._rng.choice(cells), language)
        elif expected.field:
            rows = [r for r in self._catalog.services if r.id in expected.service_ids]
            draft = self._about(
                kind, self._least_used(rows, lambda r: r.id), expected.field, language
            )
        else:
            cell = Cell(expected.needs[0], "".join(expected.groups[:1]), expected.place)
            if len(expected.needs) > 1:
                draft = self._several(kind, cell, expected.needs, language)
            else:
                draft = self._single(cell, language)
        text = roughen(draft.text, draft.language, self._rng, self._style.noise)
        if not self._leads_home(draft.expected, text):
            raise NoDraft("no_service")
        self._used.update(draft.provenance)
        return draft._replace(text=text)

    # The kinds

    def _referral(self, cell: Cell, language: str) -> Draft:
        pieces = self._quotes.get(cell.need, ())
        if pieces and cell == Cell(cell.need) and self._rng.random() < self._style.quoted:
            row, piece = self._least_used(pieces, lambda pair: pair[0].id)
            frame = self._pick(self._words.frames("en_quote"))
            expected = Referral(needs=(cell.need,), service_ids=(row.id,))
            text = fill(frame.text, {"quote": piece}, "en")
            return Draft(TaskKind.REFERRAL, text, "en", expected, (frame.id, row.id))
        return self._single(cell, language)

    def _case(self, cell: Cell, language: str) -> Draft:
        """A person of a group, where the directory has groups, with two or three needs."""
        if not cell.group:
            groups = [g for g in self._catalog.groups if cell._replace(group=g) in self.universe]
            cell = cell._replace(group=self._rng.choice(groups)) if groups else cell
        needs = [cell.need, self._another(cell, self._catalog.needs, (cell.need,))]
        if self._rng.random() < self._style.three_needs:
            needs.append(self._another(cell, self._catalog.needs, needs))
        return self._several(TaskKind.CASE, cell, needs, language)

    def _connect(self, cell: Cell, language: str) -> Draft:
        """Two needs that one row meets together."""
        together = (need for row in self._rows(cell) for need in row.needs)
        needs = (cell.need, self._another(cell, together, (cell.need,)))
        return self._several(TaskKind.CONNECT, cell, needs, language)

    def _fact(self, cell: Cell, language: str) -> Draft:
        row = self._least_used(self._rows(cell), lambda service: service.id)
        stated = [f for f in FACT_FIELDS if f != "description" and getattr(row, f)]
        if not stated:
            raise NoDraft("no_service")
        conditions = self._rng.random() < self._style.conditions
        wanted = [f for f in stated if (f in CONDITIONS) == conditions]
        return self._about(TaskKind.FACT, row, self._rng.choice(wanted or stated), language)

    def _explain(self, cell: Cell, language: str) -> Draft:
        row = self._least_used(self._rows(cell), lambda service: service.id)
        if not row.description:
            raise NoDraft("no_service")
        return self._about(TaskKind.EXPLAIN, row, "description", language)

    def _about(self, kind: TaskKind, row: Service, field: str, language: str) -> Draft:
        frames = self._words.facts(field, language)
        if not frames:
            frames, language = self._words.facts(field, "en"), "en"
        alone, together = self._names.alone(row), self._names.with_organization(row)
        if together and (not alone or self._rng.random() < self._style.organizations):
            service, organization = self._rng.choice(together)
        elif alone:
            service, organization = self._rng.choice(alone), ""
        else:
            raise NoDraft("no_name")
        frame = self._pick(
            [f for f in frames if ("{organization}" in f.text) == bool(organization)]
        )
        slots = {"service": service, "organization": organization}
        expected = Referral(field=field, service_ids=(row.id,))
        text = fill(frame.text, slots, language)
        return Draft(kind, text, language, expected, (frame.id, row.id))

    def _none(self, cell: Cell, language: str) -> Draft:
        """A question that lies outside: of another sort, or about another place."""
        whole, frames = self._words.outside(language), self._words.elsewhere(language)
        needs = self._words.words("needs", cell.need, language)
        places = self._words.elsewhere_words
        away = frames and needs and places
        if away and (not whole or self._rng.random() < self._style.elsewhere):
            text, used = self._filled(frames, {"need": needs, "elsewhere": places}, language)
        else:
            phrase = self._pick(whole)
            text, used = phrase.text, (phrase.id,)
        return Draft(TaskKind.NONE, text, language, Referral(nothing_fits=True), used)

    def _gap(self, cell: Cell, language: str) -> Draft:
        """An open question after something that no row offers."""
        if not self._gaps:
            raise NoDraft("no_gap")
        gap = self._least_used(self._gaps, lambda g: f"gap:{g}")
        there = Cell(gap.need, gap.group, gap.place)
        name = "gap" + "_group" * bool(gap.group) + "_place" * bool(gap.place)
        language = language if self._frames(name, language) else "en"
        language = self._spoken(there, (gap.need,), language)
        slots = self._slots(there, (gap.need,), language)
        text, used = self._filled(self._frames(name, language), slots, language)
        return Draft(TaskKind.GAP, text, language, None, (*used, f"gap:{gap}"))

    # Wording

    def _single(self, cell: Cell, language: str) -> Draft:
        language = self._spoken(cell, (cell.need,), language)
        slots = self._slots(cell, (cell.need,), language)
        situations = slots["situation"] and (slots["who"] or not cell.group)
        if situations and self._rng.random() < self._style.situations:
            name = "situation" + "_who" * bool(cell.group)
        else:
            name = "need" + "_group" * bool(cell.group)
        name += "_place" * bool(cell.place)
        frames = self._frames(name, language)
        imitated = self._imitated.get(f"{language}_{name}", ())
        if imitated and self._rng.random() < self._style.imitated:
            frames = imitated
        text, used = self._filled(frames, slots, language)
        return Draft(TaskKind.REFERRAL, text, language, _asks((cell.need,), cell), used)

    def _several(self, kind: TaskKind, cell: Cell, needs: Sequence[str], language: str) -> Draft:
        """Who it is for, two needs in one frame, and a third one after that."""
        language = self._spoken(cell, needs, language)
        slots = self._slots(cell, needs, language)
        names = []
        if cell.group:
            names.append("case_who" if slots["who"] else "case_group")
        names.append("two_needs" + "_place" * bool(cell.place))
        parts = [self._filled(self._frames(name, language), slots, language) for name in names]
        if len(needs) > 2:
            third = {"need": slots["need3"], "situation": slots["situation3"]}
            parts.append(self._filled(self._frames("case_more", language), third, language))
        texts = [*(_closed(text) for text, _ in parts[:-1]), parts[-1][0]]
        used = tuple(id_ for _, ids in parts for id_ in ids)
        return Draft(kind, " ".join(texts), language, _asks(needs, cell), used)

    def _frames(self, name: str, language: str) -> Sequence[Phrase]:
        return self._words.frames(f"{language}_{name}")

    def _slots(
        self, cell: Cell, needs: Sequence[str], language: str
    ) -> dict[str, Sequence[Phrase]]:
        """The phrases that each slot of a frame may take."""
        slots: dict[str, Sequence[Phrase]] = {
            "place": (Phrase(f"place:{cell.place}", cell.place),) if cell.place else (),
            "group": self._words.words("groups", cell.group, language) if cell.group else (),
            "who": self._words.situations("groups", cell.group, language) if cell.group else (),
        }
        for number, need in enumerate(needs, 1):
            suffix = str(number) if number > 1 else ""
            slots[f"need{suffix}"] = self._phrases("words", need, cell.group, language)
            slots[f"situation{suffix}"] = self._phrases("situations", need, cell.group, language)
        return slots

    def _phrases(self, sort: str, need: str, group: str, language: str) -> list[Phrase]:
        """A need's phrases without those that name a group beside the one that is meant."""
        key = (sort, need, group, language)
        if key not in self._fitting:
            read = self._words.words if sort == "words" else self._words.situations
            allowed = self._implied[need] | {group}
            self._fitting[key] = [
                phrase
                for phrase in read("needs", need, language)
                if self._words.named("groups", phrase.text, language) <= allowed
            ]
        return self._fitting[key]

    def _spoken(self, cell: Cell, needs: Sequence[str], language: str) -> str:
        """The language if every facet can be said in it, else English."""
        said = [self._phrases("words", need, cell.group, language) for need in needs]
        if cell.group:
            said.append([*self._words.words("groups", cell.group, language)])
        return language if all(said) else "en"

    def _filled(
        self, frames: Sequence[Phrase], slots: Mapping[str, Sequence[Phrase]], language: str
    ) -> tuple[str, tuple[str, ...]]:
        """A frame with its slots filled, and the ids of frame and phrases."""
        names = {frame: SLOT.findall(frame.text) for frame in frames}
        frame = self._pick([f for f in frames if all(slots.get(name) for name in names[f])])
        chosen: dict[str, Phrase] = {}
        for name in names[frame]:
            fit = [p for p in slots[name] if suits(frame.text, {name: p.text}, language)]
            chosen[name] = self._pick(fit)
        text = fill(frame.text, {name: p.text for name, p in chosen.items()}, language)
        return text, (frame.id, *(phrase.id for phrase in chosen.values()))

    # Choosing

    def _leads_home(self, expected: Referral | None, text: str) -> bool:
        """Whether a text about one row leads the directory to it, and to no other as well."""
        if expected is None or not expected.service_ids:
            return True
        row = expected.service_ids[0]
        if expected.field:
            named = self._catalog.named(text, 2)
            first = [match.service.id for match in named[:1]] == [row]
            return first and (len(named) == 1 or named[0].score > named[1].score)
        found = self._catalog.lookup(replace(expected, service_ids=()), text, CITED_AT_MOST)
        return row in {match.service.id for match in found.matches}

    def _rows(self, cell: Cell) -> Sequence[Service]:
        return self._catalog.matching(_asks((cell.need,), cell))

    def _another(self, cell: Cell, needs: Iterable[str], but: Collection[str]) -> str:
        free = sorted(n for n in {*needs} - {*but} if cell._replace(need=n) in self.universe)
        if not free:
            raise NoDraft("no_second_need")
        return self._rng.choice(free)

    def _pick(self, phrases: Sequence[Phrase]) -> Phrase:
        return self._least_used(phrases, lambda phrase: phrase.id)

    def _least_used(self, options: Sequence[T], key: Callable[[T], str]) -> T:
        """One of a few drawn by chance: the one that this night has used least."""
        if not options:
            raise NoDraft("no_wording")
        drawn = self._rng.sample(options, min(4, len(options)))
        return min(drawn, key=lambda option: self._used[key(option)])


def _asks(needs: Sequence[str], cell: Cell) -> Referral:
    return Referral(tuple(needs), (cell.group,) if cell.group else (), cell.place)


def _implied(catalog: Catalog, need: str) -> set[str]:
    rows = [service for service in catalog.services if need in service.needs]
    named = Counter(group for row in rows for group in row.groups)
    return {group for group, count in named.items() if count >= IMPLIED * len(rows)}


def _closed(sentence: str) -> str:
    return sentence if sentence[-1] in ".?!" else f"{sentence}."
