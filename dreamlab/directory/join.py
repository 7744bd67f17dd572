"""Joins the tables of HSDS around each service. Pure: rows in, services and reasons out."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dreamlab.directory.cells import ages, called, cost, is_label, listed, number, prose, street
from dreamlab.directory.hours import hours
from dreamlab.directory.rows import facets, tidy
from dreamlab.directory.tables import Row, Tables
from dreamlab.directory.terms import Terms
from dreamlab.records import Service

GONE = ("inactive", "defunct")
PHONES_SHOWN = 3
OWNERS = ("service_at_location", "service", "location", "contact", "organization")
"""What a phone, contact or schedule may belong to, the most special one first."""
_ID = re.compile(r"[^\w.@:-]+")

Owner = tuple[str, str]
Skips = list[tuple[Row, str]]


def known(rows: Iterable[Row], column: str, skipped: Skips) -> Iterator[tuple[str, Row]]:
    """Id and row of each that has an id of its own and, if asked for, something in `column`."""
    first: dict[str, str] = {}
    for row in rows:
        key = tidy(row.get("id"))
        if not key:
            skipped.append((row, "it has no id"))
        elif key in first:
            skipped.append((row, f"id `{key}` was used before, at {first[key]}"))
        elif column and not tidy(row.get(column)):
            skipped.append((row, f"it has no {column}"))
        else:
            first[key] = row.where
            yield key, row


class Join:
    """The services of some tables; `skipped` gathers rows left out with the reason."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.skipped: Skips = list(tables.skipped)
        self._notes: Counter[str] = Counter()
        self._organizations = dict(known(tables.of("organization"), "name", self.skipped))
        self._locations = dict(known(tables.of("location"), "", self.skipped))
        self._services = dict(known(tables.of("service"), "name", self.skipped))
        self._sites = self._linked(tables.of("service_at_location"))
        self._terms = Terms(tables)
        self._phones = self._owned(("phone",), OWNERS)
        self._contacts = self._owned(("contact",), OWNERS)
        self._schedules = self._owned(("schedule", "regular_schedule"), OWNERS)
        self._addresses = self._owned(
            ("physical_address", "address", "postal_address"), ("location",)
        )
        self._eligibility = self._owned(("eligibility",), ("service",))
        self._documents = self._owned(("required_document",), ("service",))
        self._costs = self._owned(("cost_option",), ("service",))
        self._payments = self._owned(("payment_accepted",), ("service",))
        self._changes = self._dates(tables.of("metadata"))

    # Indexes

    def _linked(self, rows: Sequence[Row]) -> dict[str, list[Row]]:
        """Service id -> rows that put the service at a location."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            service, location = row.get("service_id"), row.get("location_id")
            if service not in self._services:
                self.skipped.append((row, _missing("service", service)))
            elif location not in self._locations:
                self.skipped.append((row, _missing("location", location)))
            elif any(r.get("location_id") == location for r in found[service]):
                self.skipped.append((row, f"service `{service}` is at that location already"))
            else:
                found[service].append(row)
        return found

    def _owned(self, tables: Sequence[str], owners: Sequence[str]) -> dict[Owner, list[Row]]:
        """Owner (table, id) -> rows; a row goes to the most special of its owners."""
        found: dict[Owner, list[Row]] = defaultdict(list)
        for row in self._tables.of(*tables):
            named = [(owner, row.get(f"{owner}_id")) for owner in owners]
            if len(owners) > 1 and row.get("service_id") and row.get("location_id"):
                named.insert(1, ("both", f"{row.get('service_id')}@{row.get('location_id')}"))
            owner = next((pair for pair in named if pair[1]), None)
            if owner:
                found[owner].append(row)
            else:
                self.skipped.append((row, "it belongs to nothing: no id of an owner"))
        return found

    def _dates(self, rows: Sequence[Row]) -> dict[str, str]:
        """Service id -> date of its last change that `metadata` knows."""
        dates: dict[str, str] = {}
        for row in rows:
            key = row.get("resource_id", "service_id")
            if key in self._services:
                dates[key] = max(dates.get(key, ""), row.get("last_action_date"))
                row.used = True
        return dates

    # Services

    def services(self) -> list[Service]:
        """One service for each location of a service, or one without a location."""
        made: dict[str, Service] = {}
        for key, row in self._services.items():
            status = row.get("status").lower()
            if status in GONE:
                self.skipped.append((row, f"its status is {status}"))
                continue
            row.used = True
            sites: Sequence[Row | None] = self._sites.get(key) or [None]
            for site in sites:
                service = self._service(key, row, site, alone=len(sites) == 1)
                if service.id in made:
                    self.skipped.append((row, f"id `{service.id}` was used before"))
                else:
                    made[service.id] = service
        return list(made.values())

    def _service(self, key: str, row: Row, site: Row | None, alone: bool) -> Service:
        organization = self._organization(row)
        where = site.get("location_id") if site else ""
        location = self._locations.get(where)
        for joined in (site, location, organization):
            if joined:
                joined.used = True
        owners = [
            ("service_at_location", site.get("id") if site else ""),
            ("both", f"{key}@{where}" if where else ""),
            ("service", key),
            ("location", where),
            ("organization", organization.get("id") if organization else ""),
        ]
        owners = [owner for owner in owners if owner[1]]
        address = self._address(where)
        needs, groups = self._terms.of(key, site.get("id") if site else "")
        rules = self._texts(self._eligibility, key, "eligibility")
        changed = row.get("assured_date", "last_modified") or self._changes.get(key, "")
        return Service(
            id=_ID.sub("-", key if alone else f"{key}@{where}"),
            organization=called(organization) if organization else "",
            name=called(row),
            needs=needs,
            groups=facets([*groups, *filter(is_label, rules)]),
            description=_description(row),
            address=street(address, location),
            place=tidy(address.get("city")) if address else "",
            zip=tidy(address.get("postal_code")) if address else "",
            phone=self._phone(owners),
            url=_url(row, organization, location),
            hours=hours(self._first(self._schedules, owners)),
            eligibility=listed(
                prose(row.get("eligibility_description", "eligibility")) or ", ".join(rules),
                ages(row),
            ),
            how_to_apply=self._how(key, row),
            fees=self._fees(key, row),
            source_url=tidy(row.get("source_url")),
            source_date=tidy(changed)[:10],
        )

    def _organization(self, row: Row) -> Row | None:
        found = self._organizations.get(row.get("organization_id"))
        if not found:
            self._notes["services without a known organization"] += 1
        return found

    def _first(self, index: Mapping[Owner, list[Row]], owners: Iterable[Owner]) -> list[Row]:
        """The rows of the first owner that has any."""
        rows = next((index[owner] for owner in owners if owner in index), [])
        for row in rows:
            row.used = True
        return rows

    def _texts(self, index: Mapping[Owner, list[Row]], key: str, *columns: str) -> list[str]:
        """What the rows of a service say in the first of `columns` that is filled."""
        texts = (tidy(row.get(*columns)) for row in self._first(index, [("service", key)]))
        return list(dict.fromkeys(filter(None, texts)))

    def _address(self, location: str) -> Row | None:
        """A location's address: where one can go before where one can write."""
        rows = self._first(self._addresses, [("location", location)])
        return min(rows, key=lambda r: r.get("address_type") == "postal", default=None)

    def _phone(self, owners: Sequence[Owner]) -> str:
        """Numbers of the most special owner that has any, its contacts' included."""
        for owner in owners:
            people = [(("contact", row.get("id")), row) for row in self._contacts.get(owner, ())]
            for each, contact in ((owner, None), *people):
                rows = self._first(self._phones, [each])
                numbers = [text for row in rows if (text := number(row))]
                if contact and numbers:
                    contact.used = True
                if numbers:
                    return "; ".join(list(dict.fromkeys(numbers))[:PHONES_SHOWN])
        return ""

    def _how(self, key: str, row: Row) -> str:
        papers = ", ".join(self._texts(self._documents, key, "document"))
        return listed(prose(row.get("application_process")), papers and f"bring: {papers}")

    def _fees(self, key: str, row: Row) -> str:
        costs = [cost(each) for each in self._first(self._costs, [("service", key)])]
        paid = ", ".join(self._texts(self._payments, key, "payment", "payment_accepted"))
        return listed(
            prose(row.get("fees_description", "fees")), *costs, paid and f"accepts {paid}"
        )

    # What is left

    def unjoined(self) -> Skips:
        """Rows that went into no service, with the reason; call it after `services`."""
        told = {id(row) for row, _ in self.skipped}
        return [
            (row, self._terms.why(row) or self._why(table, row))
            for table, rows in self._tables.rows.items()
            for row in rows
            if not row.used and id(row) not in told
        ]

    def _why(self, table: str, row: Row) -> str:
        indexes = {
            "service": self._services,
            "location": self._locations,
            "organization": self._organizations,
        }
        for owner, index in indexes.items():
            key = row.get(f"{owner}_id")
            if key and key not in index and table != owner:
                return _missing(owner, key)
        if table in ("organization", "location", "taxonomy", "taxonomy_term"):
            return "no service uses it"
        return "not needed: its service has a more special one, was skipped, or has none to show"

    def warnings(self) -> list[str]:
        """What is odd about the data as a whole."""
        return [f"{what}: {count}" for what, count in self._notes.items()] + self._terms.warnings()


def _missing(table: str, key: str) -> str:
    return f"there is no {table} `{key}`" if key else f"{table}_id is empty"


def _description(row: Row) -> str:
    closed = row.get("status").lower() == "temporarily closed"
    alert = prose(row.get("alert"))
    text = prose(row.get("description", "short_description"))
    return tidy(f"{text}{' Temporarily closed.' if closed else ''}{alert and f' Note: {alert}'}")


def _url(row: Row, organization: Row | None, location: Row | None) -> str:
    theirs = organization.get("website", "url") if organization else ""
    return tidy(row.get("url") or theirs or (location.get("url") if location else ""))
