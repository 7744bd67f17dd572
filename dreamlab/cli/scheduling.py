"""Commands that start dreams without waiting for them: now, or each night."""

from __future__ import annotations

import json
import sys
import threading
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
@click.option("--attached", is_flag=True, hidden=True, help="End when standard input does.")
@with_lab
def schedule(lab: Lab, attached: bool) -> None:
    """Dream each night at DREAMLAB_DREAM_TIME, until stopped (Ctrl-C).

    With a Prefect API configured, turn on its deployments' schedules instead and return.
    """
    import signal

    from dreamlab.hosting.scheduler import DEPLOYED, check_dream_time
    from dreamlab.orchestration import scheduler, services, sessions

    check_dream_time(lab.settings)
    lab.check_home()
    with sessions.alone(lab.settings, sessions.SCHEDULE, timeout=5):
        kept = services.find(lab.settings.home, "worker") is not None
        if kept or scheduler.configured_api():
            count = sessions.set_schedule(lab.settings, active=True)
            click.echo(f"{count} deployments are on schedule at {scheduler.api_url(lab.settings)}")
            sys.exit(DEPLOYED if attached else 0)
        for sign in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sign, _end)
        if attached:
            threading.Thread(target=_until_orphaned, daemon=True).start()
        serving = scheduler.Serving(lab.settings)
        try:
            url = serving.start()
            click.echo(f"Dreaming each night at {lab.settings.dream_time}. Watch: {url}")
            threading.Event().wait()
        finally:
            serving.stop()


def _end(number: int, _frame: object) -> None:
    import signal

    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)  # once is enough: what follows tidies up
    sys.exit(0)


def _until_orphaned() -> None:
    import os
    import signal

    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
