"""Benchmark questions made from held-out wording over any directory's facets and services.

Deterministic: every choice is a ranking by SHA-256, without a clock, a seed or a random state,
so that a new template, word or row changes only the questions it wins. Hand-written questions
and the split into halves are `benchmark.py`'s.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import FacetPhrases, load_phrases
from dreamlab.directory.words import words
from dreamlab.errors import DirectoryError
from dreamlab.records import FACT_FIELDS, Referral, Service, TaskKind

WORDINGS = Path(__file__).parent / "data" / "wordings.toml"
SLICES = ("unseen_wording", "unseen_words", "unseen_combinations")
PER_SLICE, FACTS, OUTSIDE = 55, 45, 30
HELD_OUT_ONE_IN = 8
SAME_LETTERS = 90.0
"""Similarity of the letters, 0 to 100, from which two texts are the same but for a few."""

Cell = tuple[str, str, str]
Words = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class Draft:
    """A generated question before it is given an id and a half."""

    question: str
    kind: TaskKind
    language: str
    tag: str
    accepted: tuple[str, ...] = ()
    field: str = ""
    cell: tuple[str, ...] = ()


def held_out(need: str, group: str = "", place: str = "") -> bool:
    """Whether a need by group by place cell is set aside for the benchmark and never dreamt.

    A fixed rule by SHA-256, about one combination in eight; '' means that the question names no
    group, or no place. A need alone is no combination and is never held out.
    """
    if not (need and (group or place)):
        return False
    return _digest("held-out", need, group, place) % HELD_OUT_ONE_IN == 0


def generated(catalog: Catalog, wordings: Mapping[str, Any] | None = None) -> Iterator[Draft]:
    """About 240 questions: three slices of referrals, facts of named services, outside questions.

    `unseen_wording` asks in held-out templates by the facets' own names; `unseen_words` names at
    least one facet by a held-out synonym, which the phrase bank of dreams has not got;
    `unseen_combinations` asks for cells that `held_out` sets aside. A small directory, or one
    whose facets have no held-out synonyms, gives fewer.

    Raises:
        DirectoryError: the wordings or the phrases cannot be read.
    """
    bank = load_phrases(catalog)
    wordings = dict(_read(WORDINGS) if wordings is None else wordings)
    wordings["needs"] = _unseen(wordings.get("needs", {}), bank.needs)
    wordings["groups"] = _unseen(wordings.get("groups", {}), bank.groups)
    cells = _cells(catalog)
    free = [cell for cell in cells if not held_out(*cell)]
    aside = [cell for cell in cells if held_out(*cell)]
    named = [cell for cell in free if _synonyms(wordings, cell, "en")]
    for tag, chosen in zip(SLICES, (free, named, aside), strict=True):
        for cell in _spread(chosen, PER_SLICE, tag):
            yield _referral(catalog, wordings, cell, tag)
    yield from _facts(catalog, wordings.get("facts", {}))
    yield from _outside(wordings.get("outside", {}), bank.outside)


def _unseen(held: Words, bank: Mapping[str, FacetPhrases]) -> Words:
    """The held-out words, facets in lower case, without those that dreams may use."""
    dreamt = {_plain(w) for facet in bank.values() for ws in facet.words.values() for w in ws}
    return {
        facet.casefold(): {
            language: [word for word in options if _plain(word) not in dreamt]
            for language, options in by_language.items()
        }
        for facet, by_language in held.items()
    }


def _referral(catalog: Catalog, wordings: Mapping[str, Any], cell: Cell, tag: str) -> Draft:
    need, group, place = cell
    referral = Referral(needs=(need,), groups=(group,) if group else (), place=place)
    accepted = tuple(service.id for service in catalog.matching(referral))
    language = _language(wordings, cell) if tag == "unseen_words" else "en"
    synonyms = _synonyms(wordings, cell, language) if tag == "unseen_words" else {}
    slots = {"need": need, "group": group, "place": place} | synonyms
    template = _choose(wordings["templates"][f"{language}_{_shape(cell)}"], tag, *cell)
    question = template.format(**slots)
    return Draft(question, TaskKind.REFERRAL, language, tag, accepted, cell=cell)


def _synonyms(wordings: Mapping[str, Any], cell: Cell, language: str) -> dict[str, str]:
    """A held-out word for the cell's need and for its group, where there is one."""
    found = {}
    for slot, table, value in (("need", "needs", cell[0]), ("group", "groups", cell[1])):
        options = wordings[table].get(value.casefold(), {}).get(language, ())
        if options:
            found[slot] = _choose(options, *cell)
    return found


def _language(wordings: Mapping[str, Any], cell: Cell) -> str:
    """Spanish for one cell in three of those whose facets all have a Spanish word."""
    wanted = {"need", "group"} if cell[1] else {"need"}
    known = set(_synonyms(wordings, cell, "es")) == wanted
    has_template = bool(wordings["templates"].get(f"es_{_shape(cell)}"))
    return "es" if known and has_template and _digest("language", *cell) % 3 == 0 else "en"


def _facts(catalog: Catalog, facts: Words) -> Iterator[Draft]:
    fields = [f for f in FACT_FIELDS if facts.get(f)]
    names = _names(catalog.services)
    pairs = [(f, service.id) for f in fields for service in catalog.services]
    for field, service_id in _spread(pairs, FACTS, "fact", key=lambda pair: pair[0]):
        options = facts[field]
        spanish = bool(options.get("es")) and _digest("language", field, service_id) % 4 == 0
        language = "es" if spanish else "en"
        template = _choose(options[language], field, service_id)
        question = template.format(service=names[service_id])
        meant = tuple(s for s, name in names.items() if name == names[service_id])
        yield Draft(question, TaskKind.FACT, language, "fact", meant, field)


def _outside(
    outside: Mapping[str, Sequence[str]], dreamt: Mapping[str, Sequence[str]]
) -> Iterator[Draft]:
    """Questions outside any directory that no dream asks, not even in a few other letters."""
    known = [_plain(text) for texts in dreamt.values() for text in texts]
    texts = [
        (language, text)
        for language, texts in outside.items()
        for text in texts
        if not any(fuzz.ratio(_plain(text), other) >= SAME_LETTERS for other in known)
    ]
    for language, text in _spread(texts, OUTSIDE, "outside", key=lambda pair: pair[0]):
        yield Draft(text, TaskKind.NONE, language, "outside")


def _names(services: Iterable[Service]) -> dict[str, str]:
    """What a caller would call each service: its organization when that runs no other one."""
    services = tuple(services)
    count = Counter(service.organization for service in services)
    return {s.id: _name(s, alone=count[s.organization] == 1) for s in services}


def _name(service: Service, alone: bool) -> str:
    if service.organization and (alone or service.organization in service.name):
        return service.organization if alone else service.name
    return ", ".join(part for part in (service.organization, service.name) if part)


def _cells(catalog: Catalog) -> list[Cell]:
    """Every need by group by place, '' included, for which a row stands that names them all."""
    return sorted(
        {
            cell
            for s in catalog.services
            for cell in product(s.needs, {"", *s.groups}, {"", s.place})
        }
    )


def _shape(cell: Cell) -> str:
    slots = zip(("need", "group", "place"), cell, strict=True)
    return "_".join(slot for slot, value in slots if value)


def _need_and_shape(cell: Sequence[str]) -> tuple[str, ...]:
    return (cell[0], *(str(bool(value)) for value in cell[1:]))


def _spread(
    items: Iterable[Any],
    count: int,
    salt: str,
    key: Callable[[Any], Any] = _need_and_shape,
) -> list[Any]:
    """`count` items in hash order, taken in turn from each class that `key` puts them into."""
    classes: dict[Any, list[Any]] = defaultdict(list)
    for item in sorted(items, key=lambda item: _digest(salt, *item)):
        classes[key(item)].append(item)
    turns = [
        (turn, _digest(salt, str(name)), item)
        for name, members in classes.items()
        for turn, item in enumerate(members)
    ]
    return [item for *_, item in sorted(turns, key=lambda entry: entry[:2])[:count]]


def _choose(options: Sequence[str], *key: str) -> str:
    """The option that wins for this key (rendezvous hashing): others may come or go."""
    return min(options, key=lambda option: _digest(option, *key))


def _plain(text: str) -> str:
    return " ".join(words(text))


def _digest(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest()[:8])


@cache
def _read(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DirectoryError(f"cannot read {path}: {error}") from None
