"""Dream Lab in a host application: three lines, and a Flask application has a team that dreams.

    from dreamlab.integration import init_dream_lab
    app.config["DREAM_LAB_CONFIG"] = {...}
    dream_team, dream_scheduler = init_dream_lab(app)

It loads no model, no Prefect and no MLflow: each part opens when it is first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dreamlab.errors import MissingExtra
from dreamlab.hosting.process import HostedLab
from dreamlab.hosting.scheduler import DreamScheduler
from dreamlab.hosting.team import DreamTeam
from dreamlab.lab import Lab, open_lab
from dreamlab.settings import from_config

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["DreamScheduler", "DreamTeam", "Lab", "init_dream_lab", "open_lab"]

CONFIG = "DREAM_LAB_CONFIG"
EXTENSION = "dream_lab"


def init_dream_lab(app: Flask | None = None) -> tuple[DreamTeam, DreamScheduler]:
    """The team and the scheduler of this installation, for a Flask application or without one.

    With an application its `DREAM_LAB_CONFIG` holds the settings (without one, the environment),
    it gets the web API at `/api/dream_lab` and the commands `flask dream …`, and, unless
    `auto_schedule_dreams` is off, it begins to dream on schedule. Called again for the same
    application, it gives what it gave before.

    Raises:
        SettingsError: a key of the configuration is unknown or has a bad value.
        MissingExtra: the extra `dreamlab[flask]` is not installed.
    """
    if app is not None and EXTENSION in app.extensions:
        known: tuple[DreamTeam, DreamScheduler] = app.extensions[EXTENSION]
        return known
    settings = from_config(app.config.get(CONFIG, {}) if app is not None else {})
    hosted = HostedLab(settings)
    team, scheduler = DreamTeam(hosted), DreamScheduler(hosted)
    if app is None:
        return team, scheduler
    try:
        from dreamlab.api.blueprint import register
        from dreamlab.api.commands import dream_commands, in_a_command
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the web API needs {error.name}: pip install 'dreamlab[flask]'"
        ) from None

    register(app, hosted, team, scheduler)
    app.cli.add_command(dream_commands(hosted))
    app.extensions[EXTENSION] = (team, scheduler)
    if settings.auto_schedule_dreams and not in_a_command():
        scheduler.keep_schedule()
    return team, scheduler
