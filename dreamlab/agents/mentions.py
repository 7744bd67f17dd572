"""What a question says in so many words: phrases of the bank, and places.

Exact up to word endings and one slip of the keys in a longer word. What a question merely means
is `understanding.py`'s business.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from rapidfuzz.distance import OSA

from dreamlab.directory.phrases import PhraseBank
from dreamlab.directory.words import words

NEED, GROUP, OUTSIDE = "need", "group", "outside"

TRUSTED = 0.5
"""Share of a phrase's occurrences in the bank that must belong to its own facet."""

_LEADING = tuple(
    ["a", "an", "the", "my", "our", "some", "un", "una", "el", "la", "los", "las", "mi", "mis"]
)
_BEFORE_ORIGIN = ("from", "de", "desde")


@dataclass(frozen=True)
class Entry:
    """A phrase of the bank: its text, what it stands for, its language, and whether it is a whole
    situation rather than a word for the thing."""

    text: str
    kind: str
    facet: str
    language: str
    situation: bool


@dataclass(frozen=True)
class Mention:
    """A phrase found in a question: words `start` to `end` (exclusive) of it."""

    kind: str
    facet: str
    start: int
    end: int
    situation: bool


@dataclass(frozen=True)
class PlaceMention:
    """A place named in a question, words `start` to `end` (exclusive) of it; `inside` the
    directory's area or not."""

    place: str
    inside: bool
    start: int
    end: int


def entries(
    bank: PhraseBank, needs: Sequence[str] = (), groups: Sequence[str] = ()
) -> tuple[Entry, ...]:
    """Every phrase of a bank that says a need or a group, or that lies outside; the names of the
    directory's needs and groups say themselves, whether the bank has them or not."""
    found = []
    for kind, names, facets in ((NEED, needs, bank.needs), (GROUP, groups, bank.groups)):
        found += [Entry(name, kind, name, "en", False) for name in (*names, *facets)]
        for facet, phrases in facets.items():
            for situation, lists in ((False, phrases.words), (True, phrases.situations)):
                for language, texts in lists.items():
                    found += [Entry(text, kind, facet, language, situation) for text in texts]
    for language, texts in bank.outside.items():
        found += [Entry(text, OUTSIDE, "", language, True) for text in texts]
    return tuple(dict.fromkeys(found))


class PhraseIndex:
    """Finds the phrases of a bank in a question: the longest first, none inside another."""

    def __init__(self, phrases: Sequence[Entry], vocabulary: frozenset[str]) -> None:
        self._vocabulary = vocabulary
        self._phrases: dict[tuple[str, tuple[str, ...]], set[Entry]] = defaultdict(set)
        for entry in phrases:
            key = (entry.language, self._stems(_core(entry), entry.language))
            self._phrases[key].add(entry)
        self._longest = max((len(stems) for _, stems in self._phrases), default=0)
        self._trusted = self._weigh(phrases)

    def find(self, text: str) -> tuple[Mention, ...]:
        """The trusted phrases that `text` contains, in order."""
        said = self.corrected(text)
        stems = {language: self._stems(said, language) for language in ("en", "es")}
        found, taken = [], [False] * len(said)
        for size in range(min(self._longest, len(said)), 0, -1):
            for start in range(len(said) - size + 1):
                if any(taken[start : start + size]):
                    continue
                for entry in self._at(stems, start, size):
                    mention = Mention(entry.kind, entry.facet, start, start + size, entry.situation)
                    found.append(mention)
                    taken[start : start + size] = [True] * size
        return tuple(sorted(set(found), key=lambda m: (m.start, m.facet)))

    def corrected(self, text: str) -> tuple[str, ...]:
        """The words of `text`, those with a slip as they were probably meant."""
        return tuple(self._corrected(word) for word in words(text))

    def _at(self, stems: dict[str, tuple[str, ...]], start: int, size: int) -> list[Entry]:
        keys = ((language, said[start : start + size]) for language, said in stems.items())
        return [entry for key in keys if key in self._trusted for entry in self._phrases[key]]

    def _weigh(self, phrases: Sequence[Entry]) -> set[tuple[str, tuple[str, ...]]]:
        """The keys that, wherever they occur in the bank, mostly mean what they stand for."""
        own: Counter[tuple[str, tuple[str, ...]]] = Counter()
        seen: Counter[tuple[str, tuple[str, ...]]] = Counter()
        for entry in phrases:
            stems = self._stems(words(entry.text), entry.language)
            for key in {(entry.language, part) for part in _parts(stems, self._longest)}:
                if key in self._phrases:
                    seen[key] += 1
                    own[key] += any(
                        (e.kind, e.facet) == (entry.kind, entry.facet) for e in self._phrases[key]
                    )
        names = {key for key, found in self._phrases.items() if any(_is_name(e) for e in found)}
        return names | {key for key in self._phrases if own[key] >= TRUSTED * seen[key]}

    def _corrected(self, word: str) -> str:
        """A word as typed, or the one known word that it is one slip away from."""
        if len(word) < 5 or word in self._vocabulary or word.isdigit():
            return word
        alike = (w for w in self._by_length(len(word)) if w[0] == word[0])
        near = [w for w in alike if OSA.distance(word, w, score_cutoff=1) <= 1]
        return near[0] if len(near) == 1 else word

    def _by_length(self, length: int) -> Iterator[str]:
        for size in (length - 1, length, length + 1):
            yield from self._lengths.get(size, ())

    @cached_property
    def _lengths(self) -> dict[int, list[str]]:
        lengths: dict[int, list[str]] = defaultdict(list)
        for word in sorted(self._vocabulary):
            if len(word) > 3:
                lengths[len(word)].append(word)
        return lengths

    @cached_property
    def _stemmers(self) -> dict[str, object]:
        import Stemmer

        return {"en": Stemmer.Stemmer("english"), "es": Stemmer.Stemmer("spanish")}

    def _stems(self, said: Sequence[str], language: str) -> tuple[str, ...]:
        return tuple(self._stemmers[language].stemWords(list(said)))  # type: ignore[attr-defined]


def _is_name(entry: Entry) -> bool:
    return entry.text == entry.facet


def _core(entry: Entry) -> list[str]:
    said = words(entry.text)
    return said[1:] if not entry.situation and len(said) > 1 and said[0] in _LEADING else said


def _parts(stems: tuple[str, ...], longest: int) -> Iterator[tuple[str, ...]]:
    for size in range(1, min(longest, len(stems)) + 1):
        for start in range(len(stems) - size + 1):
            yield stems[start : start + size]


class PlaceIndex:
    """Finds places in a question: the directory's, misspelt or cut short, and places elsewhere."""

    def __init__(
        self, inside: Iterable[str], elsewhere: Iterable[str], vocabulary: frozenset[str]
    ) -> None:
        self._inside = [(place, tuple(words(place))) for place in inside]
        self._elsewhere = [(place, tuple(words(place))) for place in elsewhere]
        named = Counter(word for _, said in self._inside for word in said)
        self._vocabulary = vocabulary
        self._alone = {
            word: said
            for _, said in self._inside
            if len(said) > 1
            for word in said
            if named[word] == 1 and len(word) > 5 and word not in vocabulary
        }

    def find(self, text: str) -> tuple[PlaceMention, ...]:
        """Places in the order they are named; one that a caller merely comes from is left out
        unless it lies inside."""
        said = words(text)
        found: dict[int, PlaceMention] = {}
        for at in range(len(said)):
            for place, name in self._inside:
                if all(m.end <= at for m in found.values()) and (
                    n := self._starts(said[at:], name)
                ):
                    found[at] = PlaceMention(place, True, at, at + n)
        for place, name in self._elsewhere:
            for at in range(len(said)):
                end = at + len(name)
                origin = at > 0 and said[at - 1] in _BEFORE_ORIGIN
                if tuple(said[at:end]) == name and at not in found and not origin:
                    found[at] = PlaceMention(place, False, at, end)
        return tuple(found[at] for at in sorted(found))

    def _starts(self, said: Sequence[str], name: tuple[str, ...]) -> int:
        """How many of the words begin the text as that name: exactly, joined, split, cut short,
        misspelt or by the one word that no other place has; 0 if none."""
        start, whole = tuple(said[: len(name)]), "".join(name)
        if said[0] == whole or (len(name) > 1 and self._alone.get(said[0]) == name):
            return len(name) if start == name else 1
        if len(whole) > 7 and "".join(said[:2]) == whole:
            return 2
        if len(start) < len(name):
            return 0
        pairs = list(zip(start, name, strict=True))
        cut = len(name) > 1 and all(len(w) > 2 and full.startswith(w) for w, full in pairs)
        return len(name) if cut or all(self._near(w, full) for w, full in pairs) else 0

    def _near(self, word: str, full: str) -> bool:
        if word == full:
            return True
        if len(full) < 5 or word in self._vocabulary or word[:1] != full[:1]:
            return False
        slips = 1 if len(full) < 8 else 2
        return OSA.distance(word, full, score_cutoff=slips) <= slips


def vocabulary_of(bank: PhraseBank, texts: Iterable[str]) -> frozenset[str]:
    """Every word of a bank and of some other texts: the words that are surely no slips."""
    lists: list[Iterable[str]] = [texts, bank.elsewhere_words]
    for facets in (bank.needs, bank.groups):
        for phrases in facets.values():
            lists += [*phrases.words.values(), *phrases.situations.values()]
    for by_language in (bank.frames, bank.explain, bank.outside, *bank.facts.values()):
        lists += by_language.values()
    slot = re.compile(r"\{\w+\}")
    return frozenset(word for texts in lists for t in texts for word in words(slot.sub(" ", t)))
