"""`flask dream …`: the lab's own commands, on the lab of the application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from flask.cli import FlaskGroup

from dreamlab.cli import main, quieten
from dreamlab.cli.common import LAB, Commands

if TYPE_CHECKING:
    from dreamlab.hosting.process import HostedLab


def dream_commands(hosted: HostedLab) -> click.Group:
    """The group `dream` for an application's command line."""

    @click.group("dream", cls=Commands, commands=main.commands)
    @click.option("-v", "--verbose", is_flag=True, help="Show the logs of the libraries used.")
    @click.pass_context
    def dream(context: click.Context, verbose: bool) -> None:
        """Dream Lab: ask the team, dream, and see how the lab stands."""
        context.meta[LAB] = hosted.lab
        if not verbose:
            quieten()

    return dream


def in_a_command() -> bool:
    """Whether the application is loaded for a command of Flask's other than its server."""
    context = click.get_current_context(silent=True)
    found: Any = context
    while found is not None:
        if isinstance(found.command, FlaskGroup):
            return context is not None and context.info_name != "run"
        found = found.parent
    return False
