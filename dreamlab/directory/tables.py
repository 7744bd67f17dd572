"""The tables of Open Referral HSDS, and rows that remember where they were read.

Names follow the specification, https://docs.openreferral.org (3.x) and its `datapackage.json`
(1.1, 2.0). How tables are read from files is said in `reading.py` and `nested.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TABLES: Mapping[str, tuple[str, ...]] = {
    "organization": ("organizations",),
    "service": ("services",),
    "service_at_location": ("services_at_location", "service_at_locations"),
    "location": ("locations",),
    "address": ("addresses",),
    "physical_address": ("physical_addresses",),
    "postal_address": ("postal_addresses",),
    "phone": ("phones",),
    "contact": ("contacts",),
    "schedule": ("schedules",),
    "regular_schedule": ("regular_schedules",),
    "eligibility": ("eligibilities",),
    "required_document": ("required_documents",),
    "cost_option": ("cost_options",),
    "payment_accepted": ("payments_accepted", "payment_accepteds"),
    "taxonomy": ("taxonomies", "taxonomy_detail", "taxonomy_details"),
    "taxonomy_term": ("taxonomy_terms",),
    "attribute": ("attributes",),
    "service_attribute": ("service_attributes", "services_attributes"),
    "service_taxonomy": ("services_taxonomy", "service_taxonomies", "services_taxonomies"),
    "metadata": ("metadatas",),
}
"""Tables that are read, with the other names they go by."""

IGNORED = frozenset(
    """
    accessibility accessibility_for_disabilities funding fundings language languages program
    programs service_area service_areas service_capacity service_capacities capacities unit units
    url urls additional_urls additional_websites organization_identifier organization_identifiers
    other_attribute other_attributes holiday_schedule holiday_schedules meta_table_description
    meta_table_descriptions table_description
    """.split()  # noqa: SIM905
)
"""Tables of the specification that say nothing a service row here could hold."""

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "organization": ("id", "name"),
    "service": ("id", "name"),
    "service_at_location": ("service_id", "location_id"),
    "location": ("id",),
    "phone": ("number",),
    "taxonomy_term": ("id", "name"),
    "service_attribute": ("service_id", "taxonomy_term_id"),
    "attribute": ("link_id", "taxonomy_term_id"),
    "eligibility": ("service_id",),
}
"""Columns without which a CSV file of a table is refused."""

NAMES = {alias: name for name, aliases in TABLES.items() for alias in (name, *aliases)}
THINGS = frozenset(("organization", "service", "location", "taxonomy", "taxonomy_term"))
"""Tables whose rows are things known by their id, however often JSON repeats them."""


@dataclass
class Row:
    """One row of a table: its cells, and where it stands for whoever has to correct it."""

    cells: Mapping[str, str]
    file: str
    where: str
    used: bool = False

    def get(self, *columns: str) -> str:
        """The first cell among `columns` that is not empty; '' if none."""
        return next((v for c in columns if (v := self.cells.get(c, "").strip())), "")


@dataclass
class Tables:
    """All rows read, by table, and what was left out while reading."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    skipped: list[tuple[Row, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def of(self, *tables: str) -> list[Row]:
        """The rows of the tables named, one table after the other."""
        return [row for table in tables for row in self.rows.get(table, ())]

    def add(self, table: str, row: Row) -> None:
        """Take in one row."""
        self.rows.setdefault(table, []).append(row)
