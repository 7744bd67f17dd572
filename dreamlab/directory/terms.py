"""Taxonomy terms of HSDS services, told apart into needs and groups.

A term names a group when its link, its taxonomy or a term above it speaks of eligibility or of
the people served; links and taxonomies of languages, access and the like are left out; every
other term is a need.
"""

from __future__ import annotations

import re
from collections import defaultdict

from dreamlab.directory.rows import facet
from dreamlab.directory.tables import Row, Tables

_PEOPLE = r"eligib\w*|audiences?|populations?|situations?|demographics?|targets?|beneficiar\w+"
GROUP = re.compile(rf"\b({_PEOPLE})\b", re.IGNORECASE)
"""Taxonomies, and terms above a term, that speak of groups."""
GROUP_LINK = re.compile(
    rf"\b({_PEOPLE}|people|persons?|clients?|ages?|serve[ds]?)\b", re.IGNORECASE
)
"""Links between a service and a term that speak of groups."""
NEITHER = re.compile(
    r"language|accessib|accommodation|location|deliver|funding|cost|payment|schedule|status|"
    r"organi[sz]ation.?type",
    re.IGNORECASE,
)
AIRS_TARGET = re.compile(r"Y[A-Z](?:-\d+)?(?:[.-]\d+)*")
"""Codes of the section `Target Populations` in the 211 LA County (AIRS) taxonomy."""


class Terms:
    """The terms linked to each service and service at a location, as needs and groups."""

    def __init__(self, tables: Tables) -> None:
        self._terms: dict[str, Row] = {}
        for row in tables.of("taxonomy_term", "taxonomy"):
            self._terms.setdefault(row.get("id"), row)
        self._taxonomies = {row.get("id"): row for row in tables.of("taxonomy")}
        self._links: dict[str, list[Row]] = defaultdict(list)
        self._reasons: dict[int, str] = {}
        self._spelling: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        self._circles: set[str] = set()
        self._without = 0
        for row in tables.of("service_attribute", "service_taxonomy", "attribute"):
            self._link(row)

    def _link(self, row: Row) -> None:
        entity = row.get("link_entity").lower().rstrip("s")
        key = row.get("service_id") or row.get("link_id")
        term = row.get("taxonomy_term_id", "taxonomy_id")
        if entity not in ("", "service", "service_at_location"):
            self._reasons[id(row)] = f"terms of a {entity} are not used"
        elif term not in self._terms:
            self._reasons[id(row)] = f"there is no taxonomy term `{term}`"
        elif not self._name(self._terms[term]):
            self._reasons[id(row)] = f"taxonomy term `{term}` has no name"
        else:
            self._links[key].append(row)

    def of(self, service: str, site: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Needs and groups of a service, here at one site; in the order of their links."""
        found: dict[str, list[str]] = {"need": [], "group": [], "": []}
        for row in [*self._links.get(service, ()), *(self._links.get(site, ()) if site else ())]:
            key = row.get("taxonomy_term_id", "taxonomy_id")
            term = self._terms[key]
            kind = self._kind(row, key)
            row.used = bool(kind)
            term.used = term.used or row.used
            if not kind:
                self._reasons[id(row)] = "the term is neither a need nor a group of people"
            found[kind].append(self._spelt(self._name(term)))
        self._without += not found["need"]
        return tuple(dict.fromkeys(found["need"])), tuple(dict.fromkeys(found["group"]))

    def _name(self, term: Row) -> str:
        return facet(term.get("name"))

    def _spelt(self, name: str) -> str:
        """A name as it was spelt first, so that `Food` and `food` are one facet."""
        return self._spelling.setdefault(name.casefold(), name)

    def _kind(self, link: Row, key: str) -> str:
        """`need`, `group`, or '' for neither."""
        said = link.get("link_type").replace("_", " ")
        if GROUP_LINK.search(said):
            return "group"
        if NEITHER.search(said):
            return ""
        if key not in self._kinds:
            self._kinds[key] = self._kind_of_term(key)
        return self._kinds[key]

    def _kind_of_term(self, key: str) -> str:
        term = self._terms[key]
        taxonomy = self._taxonomies.get(term.get("taxonomy_id"))
        if taxonomy:
            taxonomy.used = True
        named = " ".join(
            (
                term.get("taxonomy", "vocabulary"),
                taxonomy.get("name") if taxonomy else "",
            )
        )
        above = " ".join(self._above(key))
        if AIRS_TARGET.fullmatch(term.get("code", "taxonomy_code") or term.get("id")):
            return "group"
        if GROUP.search(named) or GROUP.search(above):
            return "group"
        return "" if NEITHER.search(named) else "need"

    def _above(self, key: str) -> list[str]:
        """Names of the terms above one; a circle is noted and broken."""
        names, seen = [], {key}
        term = self._terms[key]
        while parent := term.get("parent_id"):
            names.append(term.get("parent_name"))
            if parent in seen:
                self._circles.add(parent)
                break
            seen.add(parent)
            if parent not in self._terms:
                break
            term = self._terms[parent]
            names.append(term.get("name"))
        return names

    def why(self, row: Row) -> str:
        """Why a link went into no service; '' if not known here."""
        return self._reasons.get(id(row), "")

    def warnings(self) -> list[str]:
        """Circles among the terms, and how many services have no need."""
        notes = [f"taxonomy term `{key}` is above itself" for key in sorted(self._circles)]
        if self._without:
            notes.append(
                "services without a need (no taxonomy term), found by name and full text only:"
                f" {self._without}"
            )
        return notes
