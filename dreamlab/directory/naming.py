"""Which services a text mentions by name: whole and partial names, abbreviations, misspellings.

A name is weighed word by word: a word that is no ordinary one (`Bartz`) counts most, an ordinary
one (`dream`) little, words of the trade (`food`, `center`) and places next to nothing. A name is
mentioned when enough of its weight stands in the text and something of it can only be a name: a
rare word, or ordinary words side by side (`dream center`). Hence "where can I get food" mentions
nothing, whatever the services are called.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from dreamlab.directory.names import Way, in_capitals, tokens_of, ways
from dreamlab.directory.words import STOP_WORDS, content_words, word_list, words
from dreamlab.records import Service

T = TypeVar("T")

RARE, ORDINARY, TRADE = 1.0, 0.35, 0.15
ENOUGH = 0.4
"""Share of a name's weight that must stand in the text."""
KEPT = 0.7
"""Mentions below this share of the best one's score are dropped."""
OWNERS = 3
"""A word that more organizations use than this is no abbreviation of one of them."""

WORDS_HEARD = 400
"""Words of a text that are looked at: no question is longer."""

SHORT = {"ctr": "center", "centre": "center", "dept": "department", "univ": "university"}
NEAR = frozenset(("near", "around", "off", "outside", "toward", "towards", "cerca", "rumbo"))
CIVIC = frozenset(("city", "county", "town", "state", "area", "region", "valley"))


@dataclass
class _Name:
    """One way to call rows: by service or by organization."""

    way: Way
    weights: dict[str, float]
    whole: bool = False
    services: set[int] = field(default_factory=set)
    organizations: set[int] = field(default_factory=set)

    @property
    def tokens(self) -> tuple[str, ...]:
        return self.way.tokens


class NameIndex:
    """Finds the services that a text mentions, by their name or that of their organization."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services
        self._places = [frozenset(content_words(s.place)) for s in services]
        self._place_words = frozenset(token for place in self._places for token in place)
        self._own = [frozenset(tokens_of(f"{s.name} {s.organization}")) for s in services]
        self._owners = self._count_owners((row, own) for row, own in enumerate(self._own))
        most = max(6, 0.08 * len({service.organization for service in services}))
        self._common = {token for token, count in self._owners.items() if count > most}
        self._local = self._place_words | {t for t in self._common if not _everyday(t)}
        self._names = self._collect()
        self._known = {token for tokens in self._names for token in tokens}
        self._spellable = sorted(t for t in self._known if len(t) >= 5 and t.isalpha())
        self._by_token: dict[str, list[_Name]] = defaultdict(list)
        for name in self._names.values():
            for token, weight in name.weights.items():
                if weight > TRADE:
                    self._by_token[token].append(name)

    # Building

    def _count_owners(self, used: Iterable[tuple[int, Iterable[T]]]) -> dict[T, int]:
        """How many different organizations use each thing in the names of their rows."""
        owners: dict[T, set[str]] = defaultdict(set)
        for row, things in used:
            for thing in things:
                owners[thing].add(self._services[row].organization)
        return {thing: len(organizations) for thing, organizations in owners.items()}

    def _collect(self) -> dict[tuple[str, ...], _Name]:
        called = [
            (row, kind, [*found, *(head for way in found for head in self._heads(way))])
            for row, service in enumerate(self._services)
            for kind, text in enumerate((service.name, service.organization))
            for found in [list(ways(text, initials=bool(kind)))]
        ]
        shared = self._count_owners((row, (w.tokens for w in found)) for row, _, found in called)
        abbreviations = {
            w.tokens[0] for _, kind, found in called for w in found if kind and w.capitals
        }
        names: dict[tuple[str, ...], _Name] = {}
        for row, kind, found in called:
            for way in found:
                foreign = set() if kind else abbreviations
                weights = {t: TRADE if t in foreign else self._weight(t) for t in way.tokens}
                if way.capitals and way.tokens[0] not in foreign:
                    weights = {way.tokens[0]: RARE}
                if self._calls(way, weights, 0 if kind else shared[way.tokens]):
                    name = names.setdefault(way.tokens, _Name(way, weights))
                    name.whole |= not way.part
                    (name.organizations if kind else name.services).add(row)
        return names

    def _weight(self, token: str) -> float:
        if token in self._place_words or token in self._common or _listed(token, "service"):
            return TRADE
        if token.isdigit():
            return TRADE if len(token) < 3 else ORDINARY
        return ORDINARY if _listed(token, "ordinary") else RARE

    def _calls(self, way: Way, weights: dict[str, float], owners: int) -> bool:
        """Whether a way to say a name can call a row at all."""
        if len(way.tokens) < 2:
            if not way.tokens or weights[way.tokens[0]] < RARE or (way.later and not way.capitals):
                return False
            return not (way.capitals and owners) or self._owners[way.tokens[0]] <= OWNERS
        return not way.part or owners < 2

    # Finding

    def mentions(self, text: str) -> list[tuple[int, float, str]]:
        """Index, score and mentioned name of every service that `text` mentions, best first."""
        heard = [self._closest(token) for token in tokens_of(text)[:WORDS_HEARD]]
        said = {token for token, _ in heard if token}
        strengths: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
        called: dict[int, str] = {}
        for name, strength in self._mentioned(heard, in_capitals(text), _landmarks(text)):
            for kind, rows in enumerate((name.services, name.organizations)):
                for row in rows:
                    if strength > strengths[row][kind]:
                        strengths[row][kind] = strength
                        if not kind or not strengths[row][0]:
                            called[row] = name.way.text
        scored = [
            (row, own + 0.6 * organization + self._context(row, said), called[row])
            for row, (own, organization) in strengths.items()
        ]
        best = max((score for _, score, _ in scored), default=0.0)
        kept = [item for item in scored if item[1] >= KEPT * best]
        return sorted(kept, key=lambda item: (-round(item[1], 6), self._services[item[0]].id))

    def _closest(self, token: str) -> tuple[str, float]:
        """The word of a name that a word stands for, and the trust put in it; else ('', 0)."""
        if token in self._known:
            return token, 1.0
        for other in (token.removesuffix("s"), token + "s", SHORT.get(token, "")):
            if other in self._known:
                return other, 0.95
        if len(token) < 5 or _everyday(token):
            return "", 0.0
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        found = process.extractOne(
            token, self._spellable, scorer=OSA.normalized_similarity, score_cutoff=0.8
        )
        return (found[0], 0.85) if found else ("", 0.0)

    def _mentioned(
        self, heard: Sequence[tuple[str, float]], capitals: set[str], landmarks: set[str]
    ) -> Iterator[tuple[_Name, float]]:
        candidates = {
            id(name): name for token, _ in heard for name in self._by_token.get(token, ())
        }
        for name in candidates.values():
            strength = _strength(name, heard, capitals, landmarks)
            if strength:
                yield name, strength
        for phrase in _phrases([token for token, _ in heard], 2, 8):
            name_in_full = self._names.get(phrase)
            if name_in_full and id(name_in_full) not in candidates and self._tells(name_in_full):
                yield name_in_full, sum(name_in_full.weights.values())

    def _tells(self, name: _Name) -> bool:
        """Whether a name of nothing but trade words and places is one when said in full."""
        places = self._local.intersection(name.tokens)
        kinds = set(name.tokens) - places - CIVIC
        return bool(kinds) and (bool(places) or (name.whole and len(name.tokens) > 2))

    def _heads(self, way: Way) -> Iterator[Way]:
        """The beginnings of a whole name that tell it by a place and two words of the trade."""
        for n in range(3, len(way.tokens)):
            tokens = way.tokens[:n]
            kinds = set(tokens) - self._local - CIVIC
            if not way.part and len(kinds) > 1 and self._local.intersection(tokens):
                yield Way(tokens, way.text, part=True)

    def _context(self, row: int, said: set[str]) -> float:
        """What else of the row the text says: other words of its names, above all its place."""
        places = said & self._place_words
        score = 0.05 * min(len((self._own[row] & said) - places), 5)
        if not places:
            return score
        if self._places[row] and self._places[row] <= said:
            return score + 0.3
        if places & self._own[row]:
            return score + 0.25
        return score - 0.2 if self._places[row] else score


def _strength(
    name: _Name, heard: Sequence[tuple[str, float]], capitals: set[str], landmarks: set[str]
) -> float:
    """How strongly a name is mentioned: the weight said, less what is missing; 0 for not."""
    weights, tokens = name.weights, name.tokens
    if len(tokens) == 1 and _everyday(tokens[0]) and tokens[0] not in capitals:
        return 0.0
    trust: dict[str, float] = {}
    for token, sure in heard:
        trust[token] = max(sure, trust.get(token, 0.0))
    matched = {t for t in weights if t in trust}
    if not any(weights[t] == RARE for t in matched):
        matched = set(_longest_run(tokens, [token for token, _ in heard]))
        if len(matched) < 2 or all(weights[t] == TRADE for t in matched):
            return 0.0
    elif len(matched) == 1 < len(tokens):
        only = min(matched)
        # One rare word stands for a longer name at its head, surely spelt, not said as a place.
        if only not in tokens[:2] or only in landmarks or (trust[only] < 0.9 and len(only) < 7):
            return 0.0
    found = sum(weights[t] * trust[t] for t in matched)
    share = found / sum(weights.values())
    return found * (0.5 + share / 2) if share >= ENOUGH else 0.0


def _landmarks(text: str) -> set[str]:
    """The words that a text names as places to be near of."""
    said = [word for word in words(text) if word not in ("de", "a", "the", "la", "el")]
    return {word for before, word in pairwise(said) if before in NEAR}


def _everyday(token: str) -> bool:
    return token in STOP_WORDS or _listed(token, "ordinary") or _listed(token, "service")


def _listed(token: str, name: str) -> bool:
    listed = word_list(name)
    return token in listed or token.removesuffix("s") in listed


def _longest_run(tokens: Sequence[str], said: Sequence[str]) -> tuple[str, ...]:
    """The most words of a name, in its order, that stand side by side in the text."""
    best: tuple[str, ...] = ()
    for start in range(len(said)):
        run: list[str] = []
        rest = list(tokens)
        for word in said[start:]:
            if word not in rest:
                break
            run.append(word)
            rest = rest[rest.index(word) + 1 :]
        if len(run) > len(best):
            best = tuple(run)
    return best


def _phrases(said: Sequence[str], least: int, most: int) -> Iterator[tuple[str, ...]]:
    for n in range(least, most + 1):
        for i in range(len(said) - n + 1):
            yield tuple(said[i : i + n])
