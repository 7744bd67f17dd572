"""The command that sends the traces of answered questions to MLflow."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from dreamlab.cli.common import with_lab
from dreamlab.errors import DreamLabError

if TYPE_CHECKING:
    from dreamlab.lab import Lab


@click.command()
@click.option("--follow", is_flag=True, help="Go on sending those that come, until interrupted.")
@click.option(
    "--every",
    type=click.FloatRange(0.1, 3600),
    default=5.0,
    show_default=True,
    help="Seconds between looks, with --follow.",
)
@with_lab
def traces(lab: Lab, follow: bool, every: float) -> None:
    """Send the traces of answered questions to MLflow.

    A solve leaves its trace in the data folder and does not wait for MLflow; every night sends
    what waits. With --follow they appear within seconds; when MLflow is away they wait on.
    """
    from dreamlab.orchestration.traces import send_waiting

    if not follow:
        click.echo(f"{send_waiting(lab)} traces sent.")
        return
    while True:
        try:
            send_waiting(lab)
        except DreamLabError as error:
            click.echo(f"{error}; trying again in {every:g} s", err=True)
        time.sleep(every)
