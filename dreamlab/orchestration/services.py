"""The processes of an operated lab: Prefect server, MLflow server, worker. All on loopback.

A service is started once, recorded in the home folder with its process, found again by any other
command, and stopped with all its children. What runs in them is none of this module's business.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
from filelock import BaseFileLock, FileLock

from dreamlab.errors import SchedulerError
from dreamlab.files import write_atomic
from dreamlab.settings import Settings

RECORD, READY, LOGS = "services.json", "services.ready", "logs"
LOOPBACK = "127.0.0.1"
STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Service:
    """A process to keep: `url` is where it serves (empty: it serves nothing), `health` says 200."""

    name: str
    command: tuple[str, ...]
    home: Path
    url: str = ""
    health: str = ""
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """The file that takes its output."""
        return self.home / LOGS / f"{self.name}.log"

    def start(self, timeout: float = 180) -> str:
        """Start it, unless it runs; returns its address once it answers.

        Raises:
            SchedulerError: its port is taken, it ends at once, or does not answer in time.
        """
        if running := find(self.home, self.name):
            return running.url
        self._check_port()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                self.command,
                env={**child_environment(), **self.env},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        _keep(self.home, Running(self.name, child.pid, born(child.pid), self.url))
        deadline = time.monotonic() + timeout
        while self.health and not answers(self.health):
            if child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                state = f"ended with {child.returncode}" if child.returncode else "does not answer"
                raise SchedulerError(f"{self.name} {state}; see {self.log}")
            time.sleep(0.2)
        return self.url

    def stop(self) -> None:
        """Stop it and its children, if it runs."""
        stop(self.home, self.name)

    def _check_port(self) -> None:
        if not self.url:
            return
        port = int(self.url.rsplit(":", 1)[1])
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                raise SchedulerError(
                    f"port {port} is taken by another program; choose one with "
                    f"--{self.name}-port, or set PREFECT_API_URL / MLFLOW_TRACKING_URI to use it"
                )


@dataclass(frozen=True, slots=True)
class Running:
    """A service under way. `born` tells its process from a later one of the same number."""

    name: str
    pid: int
    born: float
    url: str = ""

    @property
    def alive(self) -> bool:
        """Whether the process is still that one."""
        return bool(self.born) and born(self.pid) == self.born


def prefect_server(settings: Settings, port: int = 0) -> Service:
    """A Prefect server on SQLite in the home folder; `port` 0 takes a free one."""
    port = port or free_port()
    return Service(
        "prefect",
        (sys.executable, "-m", "prefect", "server", "start"),
        settings.home,
        f"http://{LOOPBACK}:{port}",
        f"http://{LOOPBACK}:{port}/api/health",
        {
            "PREFECT_HOME": str(settings.home / "prefect"),
            "PREFECT_SERVER_API_HOST": LOOPBACK,
            "PREFECT_SERVER_API_PORT": str(port),
            "PREFECT_API_URL": f"http://{LOOPBACK}:{port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            # `prefect deployment run --watch` shows the run's log.
            "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",
            "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
        },
    )


def answers(url: str, timeout: float = 2) -> bool:
    """Whether an address answers with success."""
    try:
        with urlopen(url, timeout=timeout) as reply:
            return bool(reply.status == 200)
    except (URLError, OSError, ValueError):
        return False


def free_port() -> int:
    """A port of the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def child_environment() -> dict[str, str]:
    """This environment for a child that imports a lot: bytecode kept, our interpreter first."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return kept


def running(home: Path) -> dict[str, Running]:
    """The services of this home that are alive, by name."""
    try:
        rows = json.loads((home / RECORD).read_text(encoding="utf-8"))
        known = [Running(**row) for row in rows]
    except (OSError, ValueError, TypeError):
        return {}
    return {service.name: service for service in known if service.alive}


def find(home: Path, name: str) -> Running | None:
    """A service of this home, None unless it is alive."""
    return running(home).get(name)


def stop(home: Path, name: str, patience: float = STOP_SECONDS) -> bool:
    """Stop a service and its children: asked first, then killed. False: it did not run."""
    service = find(home, name)
    if service is None:
        return False
    try:
        process = psutil.Process(service.pid)
        family = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGINT)
        _, left = psutil.wait_procs(family, patience)
        for member in left:
            member.kill()
        psutil.wait_procs(left, 5)
    except psutil.NoSuchProcess:
        pass
    forget(home, name)
    return True


def keep_this_process(home: Path, name: str) -> None:
    """Record the process that asks as a service."""
    _keep(home, Running(name, os.getpid(), born(os.getpid())))


def forget(home: Path, name: str) -> None:
    """Take a service off the record."""
    with _alone(home):
        _write(home, {k: v for k, v in running(home).items() if k != name})


def _keep(home: Path, service: Running) -> None:
    with _alone(home):
        _write(home, {**running(home), service.name: service})


def _alone(home: Path) -> BaseFileLock:
    home.mkdir(parents=True, exist_ok=True)
    return FileLock(home / "services.lock")


def _write(home: Path, known: Mapping[str, Running]) -> None:
    rows = [{"name": s.name, "pid": s.pid, "born": s.born, "url": s.url} for s in known.values()]
    write_atomic(home / RECORD, json.dumps(rows, indent=2) + "\n")


def born(pid: int) -> float:
    """When a process started, 0 if it is gone or only waits to be reaped."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return 0.0
        return float(process.create_time())
    except psutil.Error:
        return 0.0
