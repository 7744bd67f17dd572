"""`dreamlab up` and `down`: start what an operated lab is missing, keep it up, stop it.

A Prefect server, an MLflow server, a work pool with its queues, the deployments, automations, a
worker, a resident team that answers questions without loading a model for each, and a sender of
traces. Servers that are configured are used, not started. How one process is kept is `services`'
business, what is wrong is `doctor`'s.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dreamlab.errors import DreamLabError, SchedulerError
from dreamlab.orchestration import automations, scheduler, services
from dreamlab.orchestration.services import LOOPBACK, Service
from dreamlab.settings import Settings

POOL = "dreamlab"
QUEUES = {"interactive": 1, "night": 2}
"""Queues of the pool and their priorities: 1 goes first."""

SUPERVISOR = "up"
TRACES = "traces"
SWEEP_SECONDS = 20.0
RESTARTS = 5
"""Times that a service which ends is started again before `up` gives up on it."""

HEARTBEAT_SECONDS = 30

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an operated lab is: the addresses of both servers, and which of them are ours."""

    prefect: str
    mlflow: str
    own: tuple[Service, ...]


def arrange(settings: Settings, prefect_port: int, mlflow_port: int) -> Place:
    """Which servers to use and which to start; nothing is started yet."""
    home, own = settings.home, []
    api = scheduler.configured_api()
    if not api:
        kept = services.find(home, "prefect")
        server = services.prefect_server(settings, _port(kept, prefect_port))
        own.append(server)
        api = f"{server.url}/api"
    tracking = settings.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    pages = settings.mlflow_url or tracking
    if not tracking:
        kept = services.find(home, "mlflow")
        server = mlflow_server(settings, _port(kept, mlflow_port))
        own.append(server)
        pages = server.url
    env = {"PREFECT_API_URL": api, "DREAMLAB_HOME": str(home), "DREAMLAB_MLFLOW_URL": pages}
    if tracking:
        env["DREAMLAB_TRACKING_URI"] = tracking
    if own and own[0].name == "prefect":
        env["PREFECT_HOME"] = str(home / "prefect")  # a server of the operator's needs its profile
    own += [answering(settings, env), traces(settings, env), worker(settings, env)]
    return Place(api, pages, tuple(own))


def start(
    settings: Settings, place: Place, say: Say, stopping: threading.Event | None = None
) -> None:
    """Start what is missing, in order, and deploy; safe to repeat, ends early when told to.

    Raises:
        SchedulerError: a service does not start, or a configured server cannot be reached.
    """
    servers = [s for s in place.own if s.url]
    say(f"Starting {', '.join(s.name for s in place.own)} …")
    threads = [threading.Thread(target=_quietly, args=(s.start,)) for s in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for service in servers:
        service.start()  # says what went wrong, if it did
    if stopping and stopping.is_set():
        return
    deploy(settings, place)
    for service in place.own:
        if not service.url:
            service.start()


def keep_up(settings: Settings, place: Place, say: Say, stopping: threading.Event) -> None:
    """Until told to stop: start again what ends, mark runs whose process is gone, resume nights."""
    from dreamlab.orchestration import janitor

    left = {service.name: RESTARTS for service in place.own}
    while not stopping.wait(SWEEP_SECONDS):
        alive = services.running(settings.home)
        for service in place.own:
            if service.name in alive or not left[service.name]:
                continue
            left[service.name] -= 1
            say(f"{service.name} has ended; starting it again (see {service.log})")
            try:
                service.start()
            except DreamLabError as error:
                say(str(error))
        try:
            for line in janitor.sweep(settings):
                say(line)
        except DreamLabError as error:
            say(str(error))


@contextmanager
def supervising(
    settings: Settings, place: Place, say: Say, stopping: threading.Event
) -> Iterator[None]:
    """Have everything up inside the block, and what this home's `up` started down after it.

    Raises:
        SchedulerError: a service does not start, or a configured server cannot be reached.
    """
    ready = settings.home / services.READY
    services.keep_this_process(settings.home, SUPERVISOR)
    try:
        ready.unlink(missing_ok=True)
        start(settings, place, say, stopping)
        ready.touch()
        yield
    finally:
        ready.unlink(missing_ok=True)
        stop_services(settings)
        services.forget(settings.home, SUPERVISOR)


def is_this_process(service: services.Running) -> bool:
    """Whether a service is the process that asks."""
    return service.pid == os.getpid()


def stop_all(settings: Settings) -> list[str]:
    """Stop everything that `up` started in this home; returns what was stopped."""
    names = sorted(services.running(settings.home))
    services.stop(settings.home, SUPERVISOR, patience=90)  # it stops the others
    stop_services(settings)
    return [name for name in names if name not in services.running(settings.home)]


def stop_services(settings: Settings) -> None:
    """Stop the services themselves: whatever takes runs first, then the servers."""
    for name in ("worker", "answering", TRACES, "mlflow", "prefect"):
        services.stop(settings.home, name)


def deploy(settings: Settings, place: Place) -> None:
    """Make the work pool, its queues, the deployments and the automations; safe to repeat.

    Raises:
        SchedulerError: the server cannot be reached, or refuses.
    """
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: place.prefect}), scheduler.api(settings) as client:
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            _prefect(settings, place, "work-pool", "create", POOL, "--type", "process")
        known = {q.name: q for q in client.read_work_queues(work_pool_name=POOL)}
        for name, priority in QUEUES.items():
            if name not in known:
                client.create_work_queue(name=name, priority=priority, work_pool_name=POOL)
            elif known[name].priority > priority:
                client.update_work_queue(known[name].id, priority=priority)
        folder = settings.home / "prefect"
        folder.mkdir(parents=True, exist_ok=True)
        listed = folder / "prefect.yaml"
        listed.write_text(scheduler.localized(settings), encoding="utf-8")
        _prefect(settings, place, "--no-prompt", "deploy", "--all", "--prefect-file", str(listed))
        automations.ensure(client, settings)


def worker(settings: Settings, env: dict[str, str]) -> Service:
    """A Prefect worker on this machine; each flow run is a process of it."""
    return Service(
        "worker",
        (sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL),
        settings.home,
        env={
            "PREFECT_LOGGING_LEVEL": "INFO",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
            **env,
        },
    )


def answering(settings: Settings, env: dict[str, str]) -> Service:
    """The resident team: a process that holds the models and answers questions of flow runs."""
    return Service(
        "answering",
        (sys.executable, "-m", "dreamlab.orchestration.answering"),
        settings.home,
        env=env,
    )


def traces(settings: Settings, env: dict[str, str]) -> Service:
    """The sender of the traces that answered questions leave; it imports MLflow when one waits."""
    command = (sys.executable, "-m", "dreamlab", "traces", "--follow")
    return Service(TRACES, command, settings.home, env=env)


def mlflow_server(settings: Settings, port: int = 0) -> Service:
    """MLflow's pages over the SQLite of the home folder; runs write to that file themselves."""
    port = port or services.free_port()
    url = f"http://{LOOPBACK}:{port}"
    artifacts = settings.mlflow_path / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    return Service(
        "mlflow",
        (
            *(sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port)),
            *("--backend-store-uri", settings.resolved_tracking_uri, "--workers", "1"),
            *("--default-artifact-root", artifacts.as_uri()),
        ),
        settings.home,
        url,
        f"{url}/health",
        {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
    )


def detach(settings: Settings, arguments: list[str], timeout: float = 300) -> None:
    """Run `dreamlab up` in the background; returns once everything is up.

    Raises:
        SchedulerError: it ends, or is not up in time.
    """
    place = Service(SUPERVISOR, (sys.executable, "-m", "dreamlab", "up", *arguments), settings.home)
    place.start()
    ready = settings.home / services.READY
    deadline = time.monotonic() + timeout
    while not (ready.exists() and services.find(settings.home, SUPERVISOR)):
        if not services.find(settings.home, SUPERVISOR) or time.monotonic() > deadline:
            raise SchedulerError(f"`dreamlab up` did not come up; see {place.log}")
        time.sleep(0.3)


def free_gigabytes(settings: Settings) -> float:
    """Free space where the home folder is, or will be."""
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 1e9


def _prefect(settings: Settings, place: Place, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        env={
            **services.child_environment(),
            "PREFECT_API_URL": place.prefect,
            "PREFECT_HOME": str(settings.home / "prefect"),
        },
        cwd=settings.home,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise SchedulerError(
            f"`prefect {' '.join(arguments)}` failed: {said[-1] if said else 'no reason given'}"
        )


def _port(kept: Any, wanted: int) -> int:
    return int(kept.url.rsplit(":", 1)[1]) if kept else wanted


def _quietly(function: Callable[[], Any]) -> None:
    try:
        function()
    except DreamLabError:
        return
