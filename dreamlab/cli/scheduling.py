"""Commands that start dreams without waiting for them: now, or each night."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from dreamlab.cli.common import as_json, forced, with_lab
from dreamlab.cli.nights import dream_options

if TYPE_CHECKING:
    from dreamlab.lab import Lab


@click.command()
@dream_options
@forced
@as_json
@with_lab
def trigger(lab: Lab, json_: bool, **options: Any) -> None:
    """Start a dream session in the background and say what was started."""
    from dreamlab.hosting.process import HostedLab
    from dreamlab.hosting.scheduler import DreamScheduler
    from dreamlab.orchestration.sessions import log_of

    hosted = HostedLab(lab.settings)
    started = DreamScheduler(hosted).trigger_dream_session(**options)
    if json_:
        click.echo(json.dumps({"run_id": started.run_id, "ui_url": started.url or None}))
        return
    click.echo(f"Dream session {started.name} started (run {started.run_id}).")
    click.echo(f"Watch it: {started.url or log_of(lab.settings)}")


@click.command()
@click.option("--hosted", is_flag=True, hidden=True, help="End with the last host application.")
@click.option(
    "--resume/--as-it-is",
    default=True,
    help="Whether to turn on schedules that were turned off in Prefect.",
)
@with_lab
def schedule(lab: Lab, hosted: bool, resume: bool) -> None:
    """Dream each night at DREAMLAB_DREAM_TIME, until stopped (Ctrl-C).

    With a Prefect API configured, turn on its deployments' schedules instead and return.
    """
    import signal

    from dreamlab.hosting import hosts
    from dreamlab.hosting.scheduler import DEPLOYED, check_dream_time
    from dreamlab.orchestration import scheduler, services, sessions

    check_dream_time(lab.settings)
    lab.check_home()
    with sessions.alone(lab.settings, sessions.SCHEDULE, timeout=5):
        up = services.running(lab.settings.home).keys() & {"up", "worker"}
        if up or scheduler.configured_api():
            if resume:
                sessions.set_schedule(lab.settings, active=True)
            click.echo(f"Prefect keeps the schedule: {scheduler.api_url(lab.settings)}")
            sys.exit(DEPLOYED if hosted else 0)
        if not hosted:
            hosts.arrive(lab.settings)
            hosts.stop(lab.settings, stopped=False)
        for sign in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sign, _end)
        serving = scheduler.Serving(lab.settings)
        try:
            url = serving.start()
            click.echo(f"Dreaming each night at {lab.settings.dream_time}. Watch: {url}")
            sys.stdout.flush()
            _until_left(lab)
        finally:
            serving.stop()
            if not hosted:
                hosts.leave(lab.settings)


GRACE_SECONDS = 10.0
"""How long a schedule waits for another host when the last has gone: workers are replaced."""


def _until_left(lab: Lab) -> None:
    from dreamlab.hosting import hosts

    seen = time.monotonic()
    while time.monotonic() - seen < GRACE_SECONDS and not hosts.stopped(lab.settings):
        time.sleep(1)
        if hosts.any_left(lab.settings):
            seen = time.monotonic()


def _end(number: int, _frame: object) -> None:
    import signal

    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)  # once is enough: what follows tidies up
    sys.exit(0)
