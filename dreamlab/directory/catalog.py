"""A directory to ask: its services and facets, lookup, full text, names, coverage and gaps.

Everything is discovered from the rows. Reading other formats is `hsds.py`'s business.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dreamlab.directory.fulltext import FullText
from dreamlab.directory.importing import import_directory
from dreamlab.directory.naming import NameIndex
from dreamlab.directory.ranking import Match, first_of_each, fits, rank
from dreamlab.directory.rows import read_services
from dreamlab.directory.shelf import find, list_directories, read_closed, stamp
from dreamlab.directory.words import words
from dreamlab.errors import DirectoryError
from dreamlab.records import Referral, Service, to_json
from dreamlab.settings import Settings

__all__ = [
    "Catalog",
    "Found",
    "Gap",
    "Match",
    "import_directory",
    "list_directories",
    "open_directory",
    "stamp",
]


@dataclass(frozen=True)
class Found:
    """What a lookup found: the rows that fit, or, when none does, the nearest ones."""

    matches: tuple[Match, ...]
    nearest: tuple[Match, ...] = ()


@dataclass(frozen=True, order=True)
class Gap:
    """A need that no row meets for a group in a place; an empty group or place means any."""

    need: str
    group: str
    place: str

    def __str__(self) -> str:
        whom = f" for {self.group}" if self.group else ""
        return f"no {self.need}{whom}" + (f" in {self.place}" if self.place else "")


class Catalog:
    """The services of one directory with the indexes to find them.

    `needs`, `groups` and `places` are the facet values that occur, sorted. `folder` holds the
    rows and whatever lies beside them (phrases, questions); None for a catalog made by hand.
    `helpline` is what to point to when nothing fits; `showcase` holds a few questions that show
    what the directory is for. `closed` are services that earlier imports listed and this one does
    not: they are never found, but what was said of them can be told by their names.
    """

    def __init__(
        self,
        name: str,
        services: Sequence[Service],
        title: str = "",
        helpline: str = "",
        folder: Path | None = None,
        showcase: Sequence[str] = (),
        closed: Sequence[Service] = (),
    ) -> None:
        self.name = name
        self.title = title or name
        self.helpline = helpline
        self.folder = folder
        self.showcase = tuple(showcase)
        self.services = tuple(services)
        self.closed = tuple(closed)
        self._by_id = {service.id: service for service in self.services}
        self.needs = _values(need for s in self.services for need in s.needs)
        self.groups = _values(group for s in self.services for group in s.groups)
        self.places = _values(s.place for s in self.services)

    def __len__(self) -> int:
        return len(self.services)

    def __contains__(self, service_id: object) -> bool:
        return service_id in self._by_id

    def get(self, service_id: str) -> Service:
        """The service of that id.

        Raises:
            DirectoryError: the directory has no such id.
        """
        try:
            return self._by_id[service_id]
        except KeyError:
            raise DirectoryError(f"no service {service_id} in directory {self.name}") from None

    def listed(self, ids: Iterable[str]) -> tuple[Service, ...]:
        """The services of these ids, without those that are not in the directory (any more)."""
        return tuple(self._by_id[id_] for id_ in ids if id_ in self._by_id)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all rows, in their order: equal rows, equal fingerprint."""
        rows = json.dumps(to_json(self.services), ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(rows.encode()).hexdigest()

    def speaks_of_closed(self, text: str) -> bool:
        """Whether a text gives the id or the name of a service that is not listed any more."""
        said = f" {' '.join(words(text))} "
        return any(name in said for name in self._closed_names)

    @cached_property
    def _closed_names(self) -> frozenset[str]:
        """Ids and names of closed services, in words. A name that is one word, or that a listed
        service bears, tells nothing; nor does an id that could be a word or a number."""
        listed = {tuple(words(service.name)) for service in self.services}
        names = {tuple(words(service.name)) for service in self.closed} - listed
        ids = (s.id for s in self.closed if not (s.id.isalpha() or s.id.isdecimal()))
        known = {*map(tuple, map(words, ids)), *(name for name in names if len(name) > 1)}
        return frozenset(f" {' '.join(name)} " for name in known if name)

    def matching(self, referral: Referral) -> tuple[Service, ...]:
        """Every row that fits a referral's facets, and those it names by id.

        Any one of the needs suffices. When a place leaves nothing, rows of other places serve.
        Without needs and ids nothing matches.
        """
        if referral.nothing_fits:
            return ()
        rows = self._fitting(referral)
        if not rows and referral.place:
            rows = self._fitting(replace(referral, place=""))
        kept = {*rows, *(s for s in map(self._by_id.get, referral.service_ids) if s)}
        return tuple(service for service in self.services if service in kept)

    def _fitting(self, referral: Referral) -> tuple[Service, ...]:
        return tuple(service for service in self.services if fits(service, referral))

    def lookup(self, referral: Referral, text: str = "", limit: int = 5) -> Found:
        """The best `limit` rows for a referral, each with its reasons.

        Order: rows named by id, rows at the place itself before county-wide ones, rows made for
        the group before general ones, more needs met, then full-text relevance to `text`. Every
        need is among the first `limit`. A question for a field of an unnamed service is answered
        with the service that `text` mentions. When nothing fits, `nearest` holds rows that fit
        once group, place or need are given up, in this order.
        """
        if referral.nothing_fits or limit < 1:
            return Found(())
        if referral.field and not referral.service_ids:
            return Found(self.named(text, 1))
        scores = self._relevance(text)
        matches = self._best(self.matching(referral), referral, scores, limit)
        if matches or not referral.understood:
            return Found(matches)
        for wider in _relaxed(referral):
            rows = [s for s in self.services if _widely(s, wider)]
            nearest = self._best(rows, replace(referral, needs=wider.needs), scores, limit)
            if nearest:
                return Found((), nearest)
        return Found(())

    def _best(
        self,
        rows: Sequence[Service],
        referral: Referral,
        scores: dict[str, float],
        limit: int,
    ) -> tuple[Match, ...]:
        ranked = rank(rows, referral, lambda s: scores.get(s.id, 0.0))
        return tuple(first_of_each(ranked, referral.needs, limit))

    def _relevance(self, text: str) -> dict[str, float]:
        """Full-text relevance of each row that shares a word with `text`, the best one 1."""
        if not text.strip():
            return {}
        scores = self._fulltext.scores(text)
        best = max(scores, default=0.0)
        if best <= 0:
            return {}
        pairs = zip(self.services, scores, strict=True)
        return {service.id: score / best for service, score in pairs if score > 0}

    def search(self, text: str, limit: int = 5) -> tuple[Match, ...]:
        """Rows by full-text relevance (BM25) to `text`; the score is not bounded."""
        pairs = enumerate(self._fulltext.scores(text))
        best = sorted((-score, i) for i, score in pairs if score > 0)[: max(limit, 0)]
        return tuple(
            Match(self.services[i], -score, (self._why(text, self.services[i]),))
            for score, i in best
        )

    def _why(self, text: str, service: Service) -> str:
        return "says " + ", ".join(self._fulltext.shared(text, _indexed(service)))

    def named(self, text: str, limit: int = 5) -> tuple[Match, ...]:
        """Services that `text` mentions by name or organization, best first; often none.

        Partial names, abbreviations and small misspellings count; generic words do not.
        """
        found = self._names.mentions(text)[: max(limit, 0)]
        return tuple(
            Match(self.services[i], score, (f"mentioned: {name}",)) for i, score, name in found
        )

    def coverage(self) -> dict[tuple[str, str, str], int]:
        """Rows for each need, group and place: those that fit, general and county-wide included.

        A directory without groups, or places, has the one group, or place, ''.
        """
        return dict(self._coverage)

    @cached_property
    def _coverage(self) -> dict[tuple[str, str, str], int]:
        groups, places = self.groups or ("",), self.places or ("",)
        counts = Counter(
            (need, group, place)
            for service in self.services
            for need in service.needs
            for group in service.groups or groups
            for place in ((service.place,) if service.place else places)
        )
        return {
            (need, group, place): counts[need, group, place]
            for need in self.needs
            for group in groups
            for place in places
        }

    def gaps(
        self, need: str | None = None, group: str | None = None, place: str | None = None
    ) -> tuple[Gap, ...]:
        """The cells of the coverage that no row fits, restricted to the facets given, sorted."""
        wanted = (need, group, place)
        return tuple(
            sorted(
                Gap(*cell)
                for cell, count in self._coverage.items()
                if not count and all(w in (None, c) for w, c in zip(wanted, cell, strict=True))
            )
        )

    @cached_property
    def _fulltext(self) -> FullText:
        return FullText([_indexed(service) for service in self.services])

    @cached_property
    def _names(self) -> NameIndex:
        return NameIndex(self.services)


def _values(values: object) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))  # type: ignore[attr-defined]


def _indexed(service: Service) -> str:
    return f"{service.text}. {service.address}. {service.how_to_apply}. {service.zip}"


def _relaxed(referral: Referral) -> tuple[Referral, ...]:
    """What is given up, step by step, until something is near: group, place, at last the need."""
    return (
        replace(referral, groups=()),
        replace(referral, groups=(), place=""),
        replace(referral, needs=()),
        replace(referral, needs=(), groups=()),
    )


def _widely(service: Service, referral: Referral) -> bool:
    """As `fits`, but without needs a row must name the group and be at the place."""
    if referral.needs:
        return fits(service, referral)
    if not (referral.groups or referral.place):
        return False
    return (not referral.groups or any(g in service.groups for g in referral.groups)) and (
        not referral.place or service.place == referral.place
    )


def open_directory(name: str, settings: Settings) -> Catalog:
    """The directory of that name: a shipped one, else one imported into the data folder.

    Raises:
        DirectoryError: there is no such directory, or its files are broken.
    """
    manifest = find(name, settings)
    services = read_services(manifest.folder / manifest.rows[name])
    closed = read_closed(manifest.folder)
    return Catalog(
        name,
        services,
        manifest.title,
        manifest.helpline,
        manifest.folder,
        manifest.showcase,
        closed,
    )
