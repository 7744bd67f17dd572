"""Reads a directory of services in Open Referral HSDS, or in our own CSV, into `Service` rows.

HSDS comes as JSON (3.x) or as a package of CSV files (3.x; 1.1 and 2.0 with plural file names),
in a folder or zip. The mapping is described in docs/importing.md. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dreamlab.directory.join import Join, Skips, known
from dreamlab.directory.package import Package, open_package
from dreamlab.directory.reading import read_tables
from dreamlab.directory.report import ImportReport, Skipped
from dreamlab.directory.rows import (
    COLUMNS,
    MANIFEST,
    REQUIRED,
    check_header,
    parse_manifest,
    read_header,
    read_table,
    to_service,
)
from dreamlab.directory.tables import Row
from dreamlab.errors import DirectoryError
from dreamlab.records import Service

OWN = "our CSV"


def read_directory(path: Path) -> tuple[list[Service], ImportReport]:
    """The services that a folder, zip, JSON or CSV file holds, and what became of its rows.

    Raises:
        DirectoryError: the path is missing, unsafe, broken (the message names file, line and
            column), in no known format, or without a single service.
    """
    package = open_package(path)
    file = _own_file(package)
    if file or MANIFEST in package.files:
        services, report = _own(package, file)
    else:
        services, report = _hsds(package)
    if not services:
        first = f": {report.skipped[0]}" if report.skipped else ", only a header"
        raise DirectoryError(f"{path} has no service to import{first}")
    return services, report


def _own_file(package: Package) -> str:
    """The CSV file that has our columns; '' if none has."""
    for file in package.files:
        if file.lower().endswith(".csv") and set(REQUIRED) <= set(read_header(package.text(file))):
            return file
    return ""


def _own(package: Package, file: str) -> tuple[list[Service], ImportReport]:
    title = helpline = ""
    warnings = []
    if MANIFEST in package.files:
        manifest = parse_manifest(package.text(MANIFEST), MANIFEST, Path(package.name))
        title, helpline = manifest.title, manifest.helpline
        file = next(iter(manifest.rows.values()))
        if len(manifest.rows) > 1:
            warnings.append(f"{MANIFEST} names {len(manifest.rows)} directories: took {file}")
    text = package.text(file)
    columns = read_header(text)
    check_header(columns, file)
    unknown = [column for column in columns if column and column not in COLUMNS]
    if unknown:
        warnings.append(f"columns that are not ours were left out: {', '.join(unknown[:9])}")
    rows = [Row(cells, file, f"line {line}") for line, cells in read_table(text, file)]
    skipped: Skips = []
    services = [to_service(row.cells) for _, row in known(rows, "service", skipped)]
    return services, ImportReport(
        source=package.name,
        format=OWN,
        services=len(services),
        read={"service": len(rows)},
        joined={"service": len(services)},
        skipped=_told(skipped),
        warnings=(*package.remarks, *warnings),
        title=title,
        helpline=helpline,
    )


def _hsds(package: Package) -> tuple[list[Service], ImportReport]:
    tables = read_tables(package)
    join = Join(tables)
    services = join.services()
    joined = {table: sum(row.used for row in rows) for table, rows in tables.rows.items()}
    return services, ImportReport(
        source=package.name,
        format="Open Referral HSDS",
        services=len(services),
        read={table: len(rows) for table, rows in tables.rows.items()},
        joined={table: count for table, count in joined.items() if count},
        skipped=_told([*join.skipped, *join.unjoined()]),
        warnings=(
            *package.remarks,
            *join.warnings(),
            *(f"not used: {file}" for file in tables.ignored),
        ),
    )


def _told(skipped: Sequence[tuple[Row, str]]) -> tuple[Skipped, ...]:
    return tuple(Skipped(row.file, row.where, reason) for row, reason in skipped)
