"""Imports a directory into the data folder, replacing the one of that name all at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dreamlab.directory.hsds import OWN, read_directory
from dreamlab.directory.package import open_package
from dreamlab.directory.report import ImportReport
from dreamlab.directory.rows import MANIFEST, ROWS, format_manifest, format_rows, read_services
from dreamlab.directory.shelf import CLOSED, check_name, find, put, read_closed
from dreamlab.errors import DirectoryError
from dreamlab.records import Service
from dreamlab.settings import Settings

COMPANIONS = ("phrases.toml", "questions.jsonl")
"""Files beside our own CSV that come along: a phrase bank and benchmark questions."""


def import_directory(
    path: Path, name: str, settings: Settings, title: str = "", helpline: str = ""
) -> ImportReport:
    """Read the directory at `path` and put it in force as `name`; see `read_directory`.

    `title` and `helpline` (such as 2-1-1) default to what the source says.

    Raises:
        DirectoryError: the name is bad or taken, or the source is broken or empty; a directory
            imported under that name before stays in force.
        StorageError: the data folder cannot be written.
    """
    check_name(name)
    services, report = read_directory(path)
    manifest = format_manifest(name, title or report.title or name, helpline or report.helpline)
    files = {ROWS: format_rows(services), MANIFEST: manifest}
    if report.format == OWN and path.is_dir():
        package = open_package(path)
        files |= {file: package.text(file) for file in COMPANIONS if file in package.files}
    if closed := _closed(name, services, settings):
        files[CLOSED] = format_rows(closed)
    put(name, files, settings)
    return report


def _closed(name: str, services: Sequence[Service], settings: Settings) -> list[Service]:
    """The services that imports under this name listed until now and that are not listed any
    more; none of a directory that cannot be read."""
    try:
        manifest = find(name, settings)
        before = read_services(manifest.folder / manifest.rows[name])
        before += read_closed(manifest.folder)
    except DirectoryError:
        return []
    listed = {service.id for service in services}
    return [service for service in before if service.id not in listed]
