"""Commands that say how the lab stands and which version answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from dreamlab.cli.common import as_json, show, show_table, with_lab

if TYPE_CHECKING:
    from dreamlab.lab import Lab


@click.command()
@as_json
@with_lab
def status(lab: Lab, json_: bool) -> None:
    """Say how the lab stands: directory, window, last night, version that answers."""
    from dreamlab.orchestration.status import status_of

    facts = status_of(lab)
    if json_:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' '):{width}}  {value}")


@click.command()
@as_json
@with_lab
def versions(lab: Lab, json_: bool) -> None:
    """List the registered versions of the base model with their scores."""
    known = lab.registry.versions()
    if json_:
        show(known)
        return
    if not known:
        click.echo("No version is registered yet; the first night registers version 1.")
        return
    from dreamlab.orchestration.report import version_rows

    show_table(*version_rows(known))


@click.command()
@click.argument("version", type=click.IntRange(1))
@with_lab
def rollback(lab: Lab, version: int) -> None:
    """Let VERSION answer from now on (moves the alias champion)."""
    lab.registry.rollback(version)
    click.echo(f"Version {version} answers from now on.")
