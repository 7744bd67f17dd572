"""The documented application under gunicorn with four workers, as an operator would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from dreamlab.api.blueprint import PREFIX
from dreamlab.orchestration.services import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
QUESTION = "Find housing resources for seniors in Kern County"

pytestmark = pytest.mark.slow


class Host:
    """gunicorn with the application, on a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        strange = ("DREAMLAB_", "PREFECT_", "PYTHONDONTWRITEBYTECODE")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(strange)}
        self.env |= {
            "DREAMLAB_HOME": str(home),
            "DREAMLAB_API_RATE_LIMIT": "100000/minute",
            "PREFECT_HOME": str(home / "prefect-client"),
        }
        home.mkdir()
        self.log = home / "gunicorn.log"
        command = ["gunicorn", "--workers=4", "--threads=8", "--timeout=120", "--no-control-socket"]
        command += [f"--bind=127.0.0.1:{self.port}"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command, "minimal_flask_app:app"],
                cwd=EXAMPLES,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer; a body makes it a POST."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(f"http://127.0.0.1:{self.port}{PREFIX}{path}", data, headers)
        try:
            with urlopen(request, timeout=110) as reply:
                return reply.status, json.load(reply)
        except HTTPError as error:
            return error.code, json.load(error)

    def flask_dream(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the application's."""
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "minimal_flask_app", "dream", *arguments],
            cwd=EXAMPLES,
            env=self.env,
            capture_output=True,
            text=True,
        )

    def processes(self, word: str = "") -> list[psutil.Process]:
        """The living processes of this home with a word in their command line."""
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get("DREAMLAB_HOME") == str(self.home)
                    and process.status() != psutil.STATUS_ZOMBIE
                    and word in " ".join(process.cmdline())
                ):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    @property
    def ui(self) -> str:
        """Address of the Prefect server kept beside the application; empty while there is none."""
        try:
            services = json.loads((self.home / "services.json").read_text())
        except (OSError, ValueError):
            return ""
        return next((s["url"] for s in services if s["name"] == "prefect"), "")

    def deployments(self) -> list[str]:
        """Names of the deployments that the Prefect server knows."""
        try:
            request = Request(
                f"{self.ui}/api/deployments/filter", b"{}", {"Content-Type": "application/json"}
            )
            with urlopen(request, timeout=5) as reply:
                return sorted(d["name"] for d in json.load(reply))
        except (OSError, ValueError):
            return []


def until(what: Callable[[], Any], seconds: float, told: Callable[[], Any] = str) -> Any:
    """What the condition gives as soon as it holds; `told` says how it stands if it never does."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"it did not come about: {told()}"
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("gunicorn") / "home")
    try:
        until(lambda: "Listening" in host.log.read_text(), 60)
        until(lambda: len(host.processes("gunicorn")) == 5, 60)
        yield host
    finally:
        host.process.terminate()
        host.process.wait(30)
        for process in host.processes():
            try:
                process.kill()
            except psutil.Error:
                continue


def schedulers(host: Host) -> list[psutil.Process]:
    return host.processes("schedule --hosted")


def test_every_endpoint_answers(host: Host) -> None:
    assert host.ask("/status")[1]["directory"] == "kern"
    status, answer = host.ask("/solve", {"task": QUESTION})
    assert status == 200
    assert answer["services"]
    assert host.ask("/memories?query=housing") == (200, {"memories": []})
    assert host.ask("/training/stats")[1]["versions"] == []
    assert "/solve" in host.ask("/openapi.json")[1]["paths"]


def test_the_commands_work_beside_it(host: Host) -> None:
    assert str(host.home) in host.flask_dream("status").stdout
    assert "Nothing" in host.flask_dream("memories", "--query", "x", "--limit", "2").stdout
    assert "These services fit" in host.flask_dream("solve", QUESTION).stdout


def test_four_workers_keep_one_schedule(host: Host) -> None:
    until(lambda: len(host.deployments()) == 3, 120)
    until(lambda: len(schedulers(host)) == 1, 20)
    assert len(host.processes("prefect server start")) == 1
    assert host.ask("/status")[1]["schedule"] == "served"


def test_a_worker_that_is_killed_does_not_disturb_it(host: Host) -> None:
    before, workers = schedulers(host), host.processes("gunicorn")
    first = min(workers, key=lambda p: (p.ppid() != host.process.pid, p.create_time()))
    first.kill()
    until(lambda: len(host.processes("gunicorn")) == 5, 30)
    time.sleep(2 * 5)  # as long as two looks of every keeper
    assert schedulers(host) == before


def test_a_triggered_dream_is_in_the_prefect_ui_and_alone(host: Host) -> None:
    status, started = host.ask("/trigger_dream", {"force": True, "count": 2})
    assert status == 202, started
    assert started["ui_url"] == f"{host.ui}/runs/flow-run/{started['run_id']}"
    with urlopen(f"{host.ui}/api/flow_runs/{started['run_id']}", timeout=10) as reply:
        assert json.load(reply)["parameters"]["force"] is True
    status, refused = host.ask("/trigger_dream", {"force": True})
    assert (status, refused["error"]) == (409, "under_way")
    command = host.flask_dream("trigger", "--force")
    assert command.returncode == 4
    assert "under way" in command.stderr


def test_the_triggered_dream_comes_to_its_end(host: Host) -> None:
    until(lambda: host.ask("/status")[1]["last_night"], 400)
    until(lambda: not host.ask("/status")[1]["dreaming"], 60)
    status = host.ask("/status")[1]
    assert (status["last_night"]["planned"], status["version"]) == (2, 1)
    assert host.ask("/memories?query=help")[1]["memories"]


def test_a_scheduler_that_is_killed_is_replaced(host: Host) -> None:
    killed = schedulers(host)[0]
    killed.kill()
    until(lambda: schedulers(host) and schedulers(host) != [killed], 60)
    until(lambda: host.ask("/status")[1]["schedule"] == "served", 60)


def test_everything_ends_with_the_application(host: Host) -> None:
    host.process.terminate()
    host.process.wait(60)
    until(lambda: not host.processes(), 60, told=lambda: [p.cmdline() for p in host.processes()])
    assert host.log.read_text().count("Traceback") == 0
