"""Our own form of a directory on disk: one CSV file, a row a service, beside a `directory.toml`.

Reads and writes that form and nothing else; other formats are `hsds.py`'s business.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamlab.errors import DirectoryError
from dreamlab.records import Service

MANIFEST = "directory.toml"
ROWS = "services.csv"

COLUMNS: Mapping[str, str] = {
    "id": "id",
    "organization": "organization",
    "service": "name",
    "resource_types": "needs",
    "serves": "groups",
    "description": "description",
    "address": "address",
    "city": "place",
    "zip": "zip",
    "phone": "phone",
    "url": "url",
    "hours": "hours",
    "eligibility": "eligibility",
    "how_to_apply": "how_to_apply",
    "fees": "fees",
    "source_url": "source_url",
    "source_date": "source_date",
}
"""Column of the file -> attribute of a `Service`."""

REQUIRED = ("id", "organization", "service")
LISTS = ("needs", "groups")

csv.field_size_limit(1 << 24)


@dataclass(frozen=True)
class Manifest:
    """What `directory.toml` says of a folder: its title, helpline, rows file per name, and a few
    questions that show what the directory is for."""

    folder: Path
    title: str
    helpline: str
    rows: Mapping[str, str]
    showcase: tuple[str, ...] = ()


def tidy(text: str) -> str:
    """One line of text: control characters dropped, white space collapsed and trimmed."""
    if text.isprintable():
        return " ".join(text.split())
    kept = (" " if c.isspace() else c for c in text)
    plain = "".join(c for c in kept if not unicodedata.category(c).startswith(("Cc", "Cs")))
    return " ".join(plain.split())


def without_remarks(text: str) -> str:
    """The text without its remarks in brackets, which are for the reader only."""
    bare = re.sub(r"[(\[][^()\[\]]*[)\]]", " ", text)
    return re.sub(r"\s+(?=[,.;])", "", tidy(bare))


def facet(text: str) -> str:
    """A facet value as it may stand in a list cell: tidied, without the separator."""
    return tidy(text.replace(";", ","))


def facets(texts: Iterable[str]) -> tuple[str, ...]:
    """Facet values in their order, tidied, empty and doubled ones dropped."""
    return tuple(dict.fromkeys(filter(None, map(facet, texts))))


def read_table(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV text with a header, each with the line it ends on.

    Column names are taken in lower case with `_` for spaces; a semicolon or tab may separate.

    Raises:
        DirectoryError: no header, a doubled column, a row of the wrong width or broken quoting;
            the message names `file`, line and column.
    """
    reader = _reader(text)
    header: list[str] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _columns(cells)
                doubled = next((c for c in header if c and header.count(c) > 1), "")
                if doubled:
                    raise DirectoryError(f"{file} line 1: column {doubled} stands twice")
                continue
            if len(cells) != len(header):
                last = header[min(len(cells), len(header)) - 1]
                raise DirectoryError(
                    f"{file} line {reader.line_num}, after column {last}: {len(cells)} cells"
                    f" where the header has {len(header)}; is a quote or comma missing?"
                )
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        where = header[0] if header else "1"
        raise DirectoryError(
            f"{file} line {reader.line_num}, row starting in column {where}: {error}"
        ) from None
    if not header:
        raise DirectoryError(f"{file} is empty: it needs a header line")


def read_header(text: str) -> list[str]:
    """The column names of a CSV text; none if it has no readable header."""
    try:
        return _columns(next((cells for cells in _reader(text) if any(cells)), []))
    except csv.Error:
        return []


def _reader(text: str) -> Any:
    first = text.lstrip("\ufeff\r\n").partition("\n")[0]
    separator = max(",;\t", key=first.count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)


def _columns(cells: Iterable[str]) -> list[str]:
    return ["_".join(tidy(cell).lstrip("\ufeff").lower().split()) for cell in cells]


def to_service(row: Mapping[str, str]) -> Service:
    """A row of our CSV as a service; columns that are not ours are left out."""
    values: dict[str, object] = {}
    for column, attribute in COLUMNS.items():
        cell = row.get(column, "")
        values[attribute] = facets(cell.split(";")) if attribute in LISTS else tidy(cell)
    return Service(**values)  # type: ignore[arg-type]


def to_row(service: Service) -> dict[str, str]:
    """A service as a row of our CSV: the inverse of `to_service` for tidied services."""
    row = {}
    for column, attribute in COLUMNS.items():
        value = getattr(service, attribute)
        row[column] = ";".join(facets(value)) if attribute in LISTS else tidy(value)
    return row


def format_rows(services: Iterable[Service]) -> str:
    """Services as the text of our CSV, header first."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(to_row(service) for service in services)
    return out.getvalue()


def check_header(columns: Iterable[str], file: str) -> None:
    """Refuse a table without our required columns, naming the first that is missing."""
    present = set(columns)
    for column in REQUIRED:
        if column not in present:
            raise DirectoryError(f"{file} line 1: column {column} is missing")


def read_services(path: Path) -> tuple[Service, ...]:
    """The services of a rows file that this project wrote or ships.

    Raises:
        DirectoryError: missing, broken or empty file, a row without id, or an id used twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DirectoryError(f"cannot read {path}: {error}; import the directory again") from None
    services: dict[str, Service] = {}
    for line, row in read_table(text, path.name):
        if not services:
            check_header(row, path.name)
        service = to_service(row)
        if not service.id or service.id in services:
            problem = f"id {service.id} is used twice" if service.id else "the id is empty"
            raise DirectoryError(f"{path.name} line {line}, column id: {problem}")
        services[service.id] = service
    if not services:
        raise DirectoryError(f"{path} has no services: import a directory with at least one")
    return tuple(services.values())


def read_manifest(folder: Path) -> Manifest:
    """The `directory.toml` of a folder.

    Raises:
        DirectoryError: it is missing or broken, or names no rows file.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DirectoryError(f"cannot read {path}: {error}") from None
    return parse_manifest(text, str(path), folder)


def parse_manifest(text: str, file: str, folder: Path) -> Manifest:
    """The manifest in a text; `file` is its name for messages.

    Raises:
        DirectoryError: it is no TOML, or its table [rows] is missing or names no file.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DirectoryError(f"{file}: {error}") from None
    rows = data.get("rows")
    if not isinstance(rows, dict) or not rows or not all(isinstance(v, str) for v in rows.values()):
        raise DirectoryError(f"{file}: the table [rows] must give each name its file of rows")
    title, helpline = str(data.get("title", "")), str(data.get("helpline", ""))
    return Manifest(folder, title, helpline, rows, tuple(map(str, data.get("showcase", ()))))


def format_manifest(name: str, title: str, helpline: str) -> str:
    """The text of a `directory.toml` for one directory whose rows are in `services.csv`."""
    return (
        f"title = {_toml(title)}\nhelpline = {_toml(helpline)}\n\n"
        f"[rows]\n{_toml(name)} = {_toml(ROWS)}\n"
    )


def _toml(text: str) -> str:
    escaped = tidy(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
