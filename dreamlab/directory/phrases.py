"""The words people use: a bank of phrases beside a directory's rows, kept as data (TOML).

A directory without a bank of its own borrows the shipped banks' entries for equally named needs
and groups. Nothing is generated here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.shelf import SHIPPED
from dreamlab.errors import DirectoryError

FILE = "phrases.toml"
LANGUAGES = ("en", "es")

ByLanguage = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class FacetPhrases:
    """How people name one need or group (`words`) and the situations that reveal it."""

    words: ByLanguage = field(default_factory=dict)
    situations: ByLanguage = field(default_factory=dict)


@dataclass(frozen=True)
class PhraseBank:
    """Everything a bank holds; languages are `en` and `es`.

    `needs` and `groups` by facet value; `frames` by frame name such as `en_need_place`; `facts`
    by field, then language; `explain` and `outside` by language; `elsewhere` frames by language
    with `elsewhere_words`, the places outside the directory. Frames hold slots such as `{need}`.
    """

    needs: Mapping[str, FacetPhrases] = field(default_factory=dict)
    groups: Mapping[str, FacetPhrases] = field(default_factory=dict)
    frames: ByLanguage = field(default_factory=dict)
    facts: Mapping[str, ByLanguage] = field(default_factory=dict)
    explain: ByLanguage = field(default_factory=dict)
    outside: ByLanguage = field(default_factory=dict)
    elsewhere: ByLanguage = field(default_factory=dict)
    elsewhere_words: tuple[str, ...] = ()

    def texts(self) -> Iterator[str]:
        """Every phrase and frame of the bank."""
        for entry in (*self.needs.values(), *self.groups.values()):
            for phrases in (*entry.words.values(), *entry.situations.values()):
                yield from phrases
        for table in (self.frames, *self.facts.values(), self.explain, self.outside):
            for phrases in table.values():
                yield from phrases
        for phrases in self.elsewhere.values():
            yield from phrases
        yield from self.elsewhere_words


def load_phrases(catalog: Catalog) -> PhraseBank:
    """The bank beside the catalog's rows, else what the shipped banks have for its facets.

    Raises:
        DirectoryError: the file cannot be read or its shape is wrong.
    """
    own = catalog.folder / FILE if catalog.folder else None
    if own and own.is_file():
        bank = read_phrases(own)
        return replace(bank, elsewhere_words=_outside(bank, catalog))
    for path in sorted(SHIPPED.glob(f"*/{FILE}")):
        return _borrowed(read_phrases(path), catalog)
    return PhraseBank()


def read_phrases(path: Path) -> PhraseBank:
    """The bank of one file.

    Raises:
        DirectoryError: the file cannot be read or its shape is wrong.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DirectoryError(f"cannot read {path}: {error}") from None
    try:
        return PhraseBank(
            needs={name: _facet(entry) for name, entry in data.get("needs", {}).items()},
            groups={name: _facet(entry) for name, entry in data.get("groups", {}).items()},
            frames=_lists(data.get("frames", {})),
            facts={name: _lists(entry) for name, entry in data.get("facts", {}).items()},
            explain=_lists(data.get("explain", {})),
            outside=_lists(data.get("outside", {})),
            elsewhere=_by_language("", data.get("elsewhere", {})),
            elsewhere_words=_lists(data.get("elsewhere", {})).get("words", ()),
        )
    except (TypeError, AttributeError) as error:
        raise DirectoryError(f"{path}: {error}; see the comment at its head") from None


def _facet(entry: Mapping[str, Any]) -> FacetPhrases:
    return FacetPhrases(_by_language("words_", entry), _by_language("situations_", entry))


def _by_language(prefix: str, entry: Mapping[str, Any]) -> ByLanguage:
    lists = _lists(entry)
    return {lang: lists[prefix + lang] for lang in LANGUAGES if prefix + lang in lists}


def _lists(entry: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    lists = {}
    for key, value in entry.items():
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise TypeError(f"{key} is not a list of texts")
        lists[key] = tuple(value)
    return lists


def _borrowed(bank: PhraseBank, catalog: Catalog) -> PhraseBank:
    """A shipped bank cut down to the facets of another directory, under that one's spelling."""
    return PhraseBank(
        needs=_shared(bank.needs, catalog.needs),
        groups=_shared(bank.groups, catalog.groups),
        frames=bank.frames,
        facts=bank.facts,
        explain=bank.explain,
        outside=bank.outside,
        elsewhere=bank.elsewhere,
        elsewhere_words=_outside(bank, catalog),
    )


def _outside(bank: PhraseBank, catalog: Catalog) -> tuple[str, ...]:
    """The bank's places elsewhere, but for those in which the directory has services by now."""
    here = {place.casefold() for place in catalog.places}
    return tuple(word for word in bank.elsewhere_words if word.casefold() not in here)


def _shared(
    entries: Mapping[str, FacetPhrases], values: tuple[str, ...]
) -> dict[str, FacetPhrases]:
    known = {name.casefold(): entry for name, entry in entries.items()}
    return {value: known[value.casefold()] for value in values if value.casefold() in known}
