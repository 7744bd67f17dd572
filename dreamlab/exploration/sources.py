"""Wordings from outside the phrase bank: what users asked, rows' own words, names as people say.

Questions that were asked are imitated, never copied: only their frame is kept, and none that
might hold something personal. Pure: nothing is chosen here.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.words import content_words
from dreamlab.exploration.wording import Phrase, Vocabulary
from dreamlab.records import Experience, Role, Service, TaskKind

FRAME_WORDS = 25
"""An asked question longer than this many words is not imitated."""

QUOTED_WORDS = (3, 11)
"""Fewest and most words of a row that a question quotes."""

RARE = 3
"""A word that at most this many rows have is distinctive."""

STEM = 6
"""Words with these first letters in common count as forms of one word."""

_PERSONAL = re.compile(r"\d|@|https?:|my name|me llamo|\bi am [A-Z]|[\"“”]", re.IGNORECASE)
_ABBREVIATION = re.compile(r"\(([A-Z]{3,})\)")
_NAME_INSIDE = re.compile(r"(?<![.?!] )(?<!^)(?<![¿¡])\b(?!I\b)[A-Z]")


def asked_frames(
    asked: Sequence[Experience], vocabulary: Vocabulary
) -> Mapping[str, tuple[Phrase, ...]]:
    """Frames, by frame name, of what users asked and the team understood as one need.

    Each facet that the team understood must stand in the question in words of the bank, and is
    replaced by its slot. Frames with digits, names or the like are left out.
    """
    frames: dict[str, list[Phrase]] = defaultdict(list)
    for experience in asked:
        if experience.task.kind == TaskKind.ASKED and (found := _frame(experience, vocabulary)):
            name, text = found
            frames[name].append(Phrase(f"asked.{experience.task.key}", text))
    return {name: tuple(texts) for name, texts in frames.items()}


def _frame(experience: Experience, vocabulary: Vocabulary) -> tuple[str, str] | None:
    task, answer = experience.task, experience.answer(Role.TEAM)
    referral = answer.referral if answer else None
    if referral is None or referral.field or referral.nothing_fits:
        return None
    if len(referral.needs) != 1 or len(referral.groups) > 1 or task.language not in ("en", "es"):
        return None
    text, name = task.question.strip(), f"{task.language}_need"
    values = [("group", "groups", g) for g in referral.groups]
    values += [("need", "needs", n) for n in referral.needs]
    for slot, facet, value in values:
        words = [p.text for p in vocabulary.words(facet, value, task.language)]
        changed = _slotted(text, slot, [*words, value])
        if changed is None:
            return None
        text = changed
    if referral.place:
        changed = _slotted(text, "place", [referral.place])
        if changed is None:
            return None
        text = changed
    name += "_group" * bool(referral.groups) + "_place" * bool(referral.place)
    bare = re.sub(r"\{\w+\}", "x", text)
    personal = _PERSONAL.search(bare) or _NAME_INSIDE.search(bare)
    return None if personal or len(bare.split()) > FRAME_WORDS or "{" in bare else (name, text)


def _slotted(text: str, slot: str, words: Sequence[str]) -> str | None:
    """The text with the longest of the words that it holds, once, replaced by a slot."""
    for word in sorted(words, key=len, reverse=True):
        pattern = re.compile(rf"(?<![\w{{]){re.escape(word)}(?![\w}}])", re.IGNORECASE)
        if len(pattern.findall(text)) == 1:
            return pattern.sub(f"{{{slot}}}", text)
    return None


def quotes(catalog: Catalog, vocabulary: Vocabulary) -> dict[str, tuple[tuple[Service, str], ...]]:
    """Distinctive pieces of rows with one need, by need: (row, piece of its description).

    A piece is a clause with a word that no more than two other rows use. It names no group, no
    place and, in the bank's words, no other need, so that the row's need is all that it asks for.
    """
    common = _frequencies(service.text for service in catalog.services)
    facets = {_stem(w) for v in (*catalog.groups, *catalog.places) for w in content_words(v)}
    found: dict[str, list[tuple[Service, str]]] = defaultdict(list)
    for row in catalog.services:
        if len(row.needs) != 1:
            continue
        for piece in _clauses(row.description):
            words = content_words(piece)
            if (
                vocabulary.named("needs", piece, "en") <= set(row.needs)
                and any(common[word] <= RARE for word in words)
                and not any(_stem(word) in facets for word in words)
                and not vocabulary.named("groups", piece, "en")
            ):
                found[row.needs[0]].append((row, piece))
    return {need: tuple(pieces) for need, pieces in found.items()}


def _clauses(text: str) -> Iterator[str]:
    fewest, most = QUOTED_WORDS
    for clause in re.split(r"[.;:]\s+|\s*\([^)]*\)|\.$", text):
        piece = clause.strip(" .,")
        plain = not re.search(r"\d|^no[t ]", piece, re.IGNORECASE)
        if plain and fewest <= len(piece.split()) <= most:
            yield piece[:1].lower() + piece[1:] if piece[1:2].islower() else piece


def _frequencies(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in set(content_words(text)))


class SpokenNames:
    """How people may call the services of a directory, as far as it points to one of them.

    Said alone, a name must be one service's only and either proper ("Taft College") or have a
    rare word that is no word for a need: "emergency shelter" would ask for a need. Whether the
    directory understands a name is for the directory to say.
    """

    def __init__(self, catalog: Catalog, vocabulary: Vocabulary) -> None:
        self._common = _frequencies(f"{s.name} {s.organization}" for s in catalog.services)
        self._bearers = Counter(
            _key(name) for s in catalog.services for name in {*_names(s), *_organizations(s)}
        )
        spoken = (p.text for need in catalog.needs for p in vocabulary.words("needs", need, "en"))
        self._places = {_stem(w) for place in catalog.places for w in content_words(place)}
        plain = {*spoken, *catalog.needs, *catalog.groups}
        self._plain = {_stem(w) for text in plain for w in content_words(text)} | self._places

    def alone(self, service: Service) -> tuple[str, ...]:
        """Names that say which service is meant: in full, by a part, by its organization."""
        proper = [n for n in _names(service)[:1] if _proper(n) and len(content_words(n)) > 1]
        proper += [o for o in _organizations(service) if self._rare(o, self._places)]
        rare = [n for n in _names(service) if self._rare(n, self._plain)]
        names = dict.fromkeys((*proper, *rare))
        own = tuple(name for name in names if self._bearers[_key(name)] == 1)
        full = service.name
        return own or ((full,) if self._rare(full, self._plain) and "(" in full else ())

    def with_organization(self, service: Service) -> tuple[tuple[str, str], ...]:
        """Names beside the organization that offers it, neither within the other."""
        pairs = [(n, o) for n in _names(service) for o in _organizations(service)]
        return tuple(
            (name, organization)
            for name, organization in pairs
            if not (a := set(content_words(name))) <= (b := set(content_words(organization)))
            and not b <= a
        )

    def _rare(self, name: str, but: set[str]) -> bool:
        own = [word for word in content_words(name) if _stem(word) not in but]
        return any(self._common[word] <= RARE for word in own)


def _proper(name: str) -> bool:
    words = [word for word in re.findall(r"[^\W_]+", name) if content_words(word)]
    return all(not word[0].islower() for word in words)


def _stem(word: str) -> str:
    return word[:STEM].rstrip("s")


def _key(name: str) -> str:
    return " ".join(content_words(name))


def _names(service: Service) -> tuple[str, ...]:
    """The name without its brackets, its parts of two words and more, and its abbreviation."""
    bare = re.sub(r"\s*\([^)]*\)", "", service.name).strip()
    parts = [p for p in re.split(r" - | / |: |, ", bare)[:2] if len(content_words(p)) > 1]
    return _worthwhile((bare, *parts, *_ABBREVIATION.findall(service.name)))


def _organizations(service: Service) -> tuple[str, ...]:
    """The organization in full and by the abbreviation in brackets, where it has one."""
    bare = re.sub(r"\s*\([^)]*\)", "", service.organization).strip()
    return _worthwhile((bare, *_ABBREVIATION.findall(service.organization)))


def _worthwhile(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if content_words(name)))
