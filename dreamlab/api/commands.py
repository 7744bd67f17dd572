"""`flask dream …`: the lab's own commands, on the lab of the application."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click
from flask.cli import FlaskGroup

from dreamlab.cli import main, quieten
from dreamlab.cli.common import LAB, Commands
from dreamlab.settings import to_environment

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
        context.call_on_close(_exported(to_environment(hosted.settings)))
        if not verbose:
            quieten()

    return dream


def _exported(variables: Mapping[str, str]) -> Callable[[], None]:
    """Give the processes that a command starts these variables; returns what takes them back."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)

    def restore() -> None:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    return restore


def in_a_command() -> bool:
    """Whether the application is loaded for a command of Flask's other than its server."""
    context = click.get_current_context(silent=True)
    found: Any = context
    while found is not None:
        if isinstance(found.command, FlaskGroup):
            return context is not None and context.info_name != "run"
        found = found.parent
    return False
