"""Commands that operate a lab: its services, its health, the queue of the night."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import click

from dreamlab.cli.common import as_json, show, with_lab

if TYPE_CHECKING:
    from dreamlab.lab import Lab

port = click.IntRange(0, 65535)


@click.command()
@click.option("--prefect-port", type=port, default=4200, show_default=True, help="0: a free one.")
@click.option("--mlflow-port", type=port, default=5000, show_default=True, help="0: a free one.")
@click.option("--detach", is_flag=True, help="Come back when all is up; `dreamlab down` stops it.")
@with_lab
def up(lab: Lab, prefect_port: int, mlflow_port: int, detach: bool) -> None:
    """Start what an operated lab is missing, and keep it up until Ctrl-C.

    Servers, on loopback, work pool, deployments, worker. Servers that PREFECT_API_URL and
    MLFLOW_TRACKING_URI name are used instead of started. Safe to run twice.
    """
    from dreamlab.orchestration import operating, services

    settings = lab.settings
    lab.check_home()
    place = operating.arrange(settings, prefect_port, mlflow_port)
    kept = services.find(settings.home, operating.SUPERVISOR)
    if kept and not operating.is_this_process(kept):
        click.echo("Everything is up already.")
    elif detach:
        ports = ["--prefect-port", str(prefect_port), "--mlflow-port", str(mlflow_port)]
        operating.detach(settings, ports)
        place = operating.arrange(settings, prefect_port, mlflow_port)
    else:
        _keep_up(lab, place)
        return
    _say_where(place)


def _keep_up(lab: Lab, place: Any) -> None:
    from dreamlab.orchestration import operating

    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with operating.supervising(lab.settings, place, click.echo, stopping):
        if not stopping.is_set():
            _say_where(place)
            operating.keep_up(lab.settings, place, click.echo, stopping)
        click.echo("Stopping …")
    click.echo("Stopped.")


def _say_where(place: Any) -> None:
    click.echo(f"Prefect  {place.prefect.removesuffix('/api')}")
    click.echo(f"MLflow   {place.mlflow}")
    click.echo(f"For Prefect's own commands:  export PREFECT_API_URL={place.prefect}")


@click.command()
@with_lab
def down(lab: Lab) -> None:
    """Stop everything that `dreamlab up` started."""
    from dreamlab.orchestration import operating

    stopped = operating.stop_all(lab.settings)
    click.echo(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was up.")


@click.command()
@as_json
@with_lab
def doctor(lab: Lab, json_: bool) -> None:
    """Check all that an installation needs; name the gate that blocks the next night.

    Exits with 1 if one does.
    """
    from dreamlab.orchestration.doctor import examine, verdict

    found = examine(lab)
    if json_:
        show(found)
    else:
        width = max(len(f.gate) for f in found)
        for f in found:
            click.echo(f"{f.state:8}{f.gate:{width}}  {f.message}")
        click.echo(verdict(found))
    if any(f.state == "blocked" for f in found):
        raise SystemExit(1)


@click.group()
def queue() -> None:
    """Questions deferred to the night."""


@queue.command("add")
@click.argument("question")
@as_json
@with_lab
def queue_add(lab: Lab, question: str, json_: bool) -> None:
    """Defer QUESTION to the night; it is answered inside the downtime window."""
    from dreamlab.orchestration import queue as deferred

    task = deferred.add(lab, question)
    show(task) if json_ else click.echo(f"{task.id} waits for the night.")


@queue.command("list")
@as_json
@with_lab
def queue_list(lab: Lab, json_: bool) -> None:
    """List the deferred questions: those that wait, and those that were answered."""
    from dreamlab.orchestration import queue as deferred

    waiting, answered = deferred.waiting(lab), deferred.answered(lab)
    if json_:
        show({"waiting": waiting, "answered": answered})
        return
    for task in waiting:
        click.echo(f"waits     {task.id}  {task.question}")
    for task in answered:
        click.echo(f"answered  {task.id}  {task.question}")
        click.echo(f"{task.answer}\n")
    if not waiting and not answered:
        click.echo("Nothing is deferred; `dreamlab queue add` defers a question.")
