"""How long 5,000 services take to import: python benchmarks/import_speed.py [SERVICES]

Generates an HSDS 2.0 package and the same directory as HSDS 3.x JSON, each with organizations,
locations, addresses, phones, schedules, eligibility and taxonomy terms, imports both into a
temporary data folder, opens the result, and prints the seconds.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dreamlab.directory.catalog import import_directory, open_directory
from dreamlab.settings import load_settings

Table = list[dict[str, Any]]
TERMS = [f"{kind} {n}" for kind in ("Food", "Housing", "Health", "Legal", "Work") for n in range(8)]
GROUPS = ["Seniors", "Veterans", "Children", "Families", "Immigrants", "Students"]


def tables(count: int) -> dict[str, Table]:
    """The tables of a package of HSDS 2.0 with `count` services, the same on every run."""
    pick = random.Random(1)
    ids = range(count)
    return {
        "organizations": [
            {"id": f"o{i}", "name": f"Organization {i}", "description": "Helps."}
            for i in range(count // 4 + 1)
        ],
        "services": [
            {
                "id": f"s{i}",
                "organization_id": f"o{i // 4}",
                "name": f"Service {i}",
                "description": "Groceries, advice and a bed for the night. " * 3,
                "status": "active",
                "application_process": "Walk in",
                "fees": "Free",
            }
            for i in ids
        ],
        "locations": [{"id": f"l{i}", "name": f"Site {i}"} for i in ids],
        "services_at_location": [
            {"id": f"x{i}", "service_id": f"s{i}", "location_id": f"l{i}"} for i in ids
        ],
        "physical_addresses": [
            {
                "id": f"a{i}",
                "location_id": f"l{i}",
                "address_1": f"{i} Main Street",
                "city": f"Town {i % 40}",
                "state_province": "CA",
                "postal_code": f"{90000 + i % 1000}",
                "country": "US",
            }
            for i in ids
        ],
        "phones": [
            {"id": f"p{i}", "service_id": f"s{i}", "number": f"555-{i:07}", "type": "voice"}
            for i in ids
        ],
        "regular_schedules": [
            {
                "id": f"r{i}-{day}",
                "service_id": f"s{i}",
                "weekday": day,
                "opens_at": "09:00",
                "closes_at": "17:00",
            }
            for i in ids
            for day in range(1, 6)
        ],
        "eligibility": [
            {"id": f"e{i}", "service_id": f"s{i}", "eligibility": pick.choice(GROUPS)} for i in ids
        ],
        "taxonomy": [
            {"id": f"t{n}", "name": name, "vocabulary": "Services"} for n, name in enumerate(TERMS)
        ],
        "services_taxonomy": [
            {"id": f"st{i}-{n}", "service_id": f"s{i}", "taxonomy_id": f"t{term}"}
            for i in ids
            for n, term in enumerate(pick.sample(range(len(TERMS)), 2))
        ],
    }


def write_csv(data: dict[str, Table], folder: Path) -> None:
    """One CSV file for each table."""
    folder.mkdir()
    for name, rows in data.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def write_json(data: dict[str, Table], path: Path) -> None:
    """The same services as nested HSDS 3.x objects."""

    def by(table: str, column: str) -> dict[str, Table]:
        found: dict[str, Table] = {}
        for row in data[table]:
            found.setdefault(row[column], []).append(row)
        return found

    organizations, locations = by("organizations", "id"), by("locations", "id")
    sites, addresses = (
        by("services_at_location", "service_id"),
        by("physical_addresses", "location_id"),
    )
    phones, schedules = by("phones", "service_id"), by("regular_schedules", "service_id")
    links, terms = by("services_taxonomy", "service_id"), by("taxonomy", "id")
    rules = by("eligibility", "service_id")
    days = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
    services = []
    for row in data["services"]:
        key = row["id"]
        services.append(
            {
                **row,
                "organization": organizations[row["organization_id"]][0],
                "eligibility_description": rules[key][0]["eligibility"],
                "phones": phones[key],
                "schedules": [
                    {**s, "freq": "WEEKLY", "byday": days[s["weekday"] - 1]} for s in schedules[key]
                ],
                "service_at_locations": [
                    {
                        "id": site["id"],
                        "location": {
                            **locations[site["location_id"]][0],
                            "addresses": addresses[site["location_id"]],
                        },
                    }
                    for site in sites[key]
                ],
                "attributes": [
                    {"id": link["id"], "taxonomy_term": terms[link["taxonomy_id"]][0]}
                    for link in links[key]
                ],
            }
        )
    path.write_text(json.dumps({"contents": services}), encoding="utf-8")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = tables(count)
        write_csv(data, folder / "package")
        write_json(data, folder / "services.json")
        settings = load_settings(home=folder / "home")
        for source in ("package", "services.json"):
            start = time.perf_counter()
            report = import_directory(folder / source, "speed", settings)
            imported = time.perf_counter()
            catalog = open_directory("speed", settings)
            catalog.search("groceries")
            catalog.named("Organization 7")
            opened = time.perf_counter()
            print(
                f"{source}: {len(catalog):,} services from {sum(report.read.values()):,} rows"
                f" imported in {imported - start:.2f} s,"
                f" opened and indexed in {opened - imported:.2f} s"
            )
            assert len(catalog) == count, report


if __name__ == "__main__":
    main()
