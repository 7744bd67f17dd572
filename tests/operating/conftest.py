"""A real Prefect server and a real worker in processes of their own, one of each a session."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from dreamlab.lab import Lab
from dreamlab.orchestration import automations, operating, scheduler, services
from dreamlab.orchestration.services import Service
from tests.operating.small import open_small, set_clock

ROOT = Path(__file__).parents[2]
SMALL = {
    "DREAMLAB_DREAM_TASK_COUNT": "36",
    "DREAMLAB_DREAM_STRATEGY": "breadth",
    "DREAMLAB_TRAINING_EPOCHS": "2",
    "DREAMLAB_MIN_EXAMPLES_FOR_TRAINING": "4",
    "DREAMLAB_RETRY_SECONDS": "1",
}


def wait_for(condition: Callable[[], Any], seconds: float = 90, what: str = "") -> Any:
    """What the condition returns once that is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds:.0f} s: {what or condition}")


@dataclass
class Operated:
    """A deployed small lab."""

    home: Path
    server: Service
    env: dict[str, str]
    lab: Lab
    workers: int = 0
    started: list[str] = field(default_factory=list)

    @property
    def api(self) -> str:
        return f"{self.server.url}/api"

    def client(self) -> contextlib.AbstractContextManager[Any]:
        return scheduler.api(self.lab.settings)

    def at(self, moment: datetime) -> None:
        set_clock(self.home, moment)

    def trigger(self, deployment: str, **parameters: Any) -> str:
        return scheduler.trigger(deployment, parameters, settings=self.lab.settings).run_id

    def run(self, run_id: str) -> Any:
        with self.client() as client:
            return client.read_flow_run(run_id)

    def ended(self, run_id: str, seconds: float = 240) -> Any:
        """The flow run once it has ended."""

        def final() -> Any:
            run = self.run(run_id)
            return run if run.state and run.state.is_final() else None

        return wait_for(final, seconds, f"end of {run_id}; see {self.home}/logs")

    def runs_of(self, deployment: str) -> list[Any]:
        """Every flow run of a deployment that is not merely planned."""
        from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

        with self.client() as client:
            found = client.read_flow_runs(
                deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment]))
            )
        return [run for run in found if not run.auto_scheduled]

    def start_worker(self) -> None:
        operating.worker(self.lab.settings, self.env).start()

    def kill(self, name: str, *, alone: bool = False) -> None:
        """Kill a service and, unless it is to go alone, its children at once, as a power cut."""
        service = services.find(self.home, name)
        assert service
        process = psutil.Process(service.pid)
        family = [process, *([] if alone else process.children(recursive=True))]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, 10)
        services.forget(self.home, name)

    def process_of(self, run_id: str) -> psutil.Process:
        """The process of a flow run that is under way."""
        import json

        noted = self.home / "runs" / f"{run_id}.json"
        wait_for(noted.exists, 60, f"{noted} to appear")
        return psutil.Process(json.loads(noted.read_text())["pid"])

    def prefect(self, *arguments: str) -> str:
        """What one of Prefect's own commands prints."""
        return subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            env={**services.child_environment(), **self.env},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout


@pytest.fixture(scope="package")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """A server, the deployments on the small lab, and a worker."""
    home = tmp_path_factory.mktemp("operated")
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("DREAMLAB_")]:
            patch.delenv(name)
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("PREFECT_HOME", str(home / "prefect"))
        for name, value in {**SMALL, "DREAMLAB_HOME": str(home)}.items():
            patch.setenv(name, value)
        lab = open_small()
        server = services.prefect_server(lab.settings)
        env = {
            "PREFECT_API_URL": f"{server.url}/api",
            "PYTHONPATH": str(ROOT),
            "DREAMLAB_HOME": str(home),
            **SMALL,
        }
        made = Operated(home, server, env, lab)
        try:
            made.at(datetime(2027, 1, 5, 9, tzinfo=UTC))
            server.start()
            _deploy(made)
            made.start_worker()
            yield made
        finally:
            for name in ("worker", "mlflow", "prefect"):
                services.stop(home, name)


def _deploy(made: Operated) -> None:
    """As an operator does, by Prefect's own commands, with the entry points of the small lab."""
    listed = made.home / "prefect.yaml"
    text = scheduler.prefect_yaml().read_text()
    for name in ("solve_task", "dream_session", "finetune_base_model"):
        text = text.replace(f"flows.{name}.{name}", f"tests.operating.small.{name}")
    listed.write_text(text)
    made.prefect("work-pool", "create", operating.POOL, "--type", "process")
    made.prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(listed))
    with made.client() as client:
        automations.ensure(client, made.lab.settings)
