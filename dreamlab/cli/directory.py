"""Commands that look into the directory, or import one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dreamlab.cli.common import as_json, show, with_lab

if TYPE_CHECKING:
    from dreamlab.lab import Lab


@click.group()
def directory() -> None:
    """Look into the directory of services, or import another one."""


@directory.command("list")
@with_lab
def directory_list(lab: Lab) -> None:
    """List the directories at hand; the one in use is marked."""
    from dreamlab.directory.catalog import list_directories

    for name in list_directories(lab.settings):
        click.echo(f"{'*' if name == lab.settings.directory else ' '} {name}")


@directory.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--name", required=True, help="Letters, digits and dashes.")
@as_json
@with_lab
def directory_import(lab: Lab, path: Path, name: str, json_: bool) -> None:
    """Import PATH (HSDS folder, zip or JSON, or our CSV) as a directory.

    Use it with DREAMLAB_DIRECTORY=NAME.
    """
    from dreamlab.directory.importing import import_directory

    lab.check_home()
    report = import_directory(path, name, lab.settings)
    show(report) if json_ else click.echo(str(report))


@directory.command("facets")
@as_json
@with_lab
def directory_facets(lab: Lab, json_: bool) -> None:
    """List the needs, groups and places found in the rows."""
    facets = {
        "needs": list(lab.catalog.needs),
        "groups": list(lab.catalog.groups),
        "places": list(lab.catalog.places),
    }
    if json_:
        click.echo(json.dumps(facets, indent=2, ensure_ascii=False))
        return
    for name, values in facets.items():
        click.echo(f"{name}: {', '.join(values)}")


@directory.command("search")
@click.argument("text")
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True)
@as_json
@with_lab
def directory_search(lab: Lab, text: str, limit: int, json_: bool) -> None:
    """Find services by full text."""
    found = lab.catalog.search(text, limit)
    if json_:
        show([match.service for match in found])
        return
    if not found:
        click.echo("No row has these words.")
    for match in found:
        click.echo(f"{match.service.id}  {match.service.name} ({match.service.organization})")


@directory.command("gaps")
@click.option("--need", help="Of this need only.")
@click.option("--group", help="For this group only.")
@click.option("--place", help="In this place only.")
@as_json
@with_lab
def directory_gaps(lab: Lab, json_: bool, **where: str | None) -> None:
    """List what is missing: needs that no row meets for a group in a place."""
    gaps = lab.catalog.gaps(**where)
    show(gaps) if json_ else click.echo("\n".join(map(str, gaps)) or "No gap.")
