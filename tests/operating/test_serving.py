"""Serving without a Prefect server of the operator's: the same flows, in a home of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from dreamlab.errors import SchedulerError
from dreamlab.orchestration import scheduler, services
from dreamlab.settings import Settings
from tests.operating.conftest import wait_for

pytestmark = pytest.mark.slow


def test_a_process_serves_the_same_deployments_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("DREAMLAB_HOME", str(tmp_path))
    settings = Settings(home=tmp_path)
    serving = scheduler.Serving(settings)
    serving.start()
    try:
        with pytest.raises(SchedulerError, match="served already"):
            scheduler.Serving(settings).start()
        question = {"task": "Where is a food pantry in Delano?"}
        run = scheduler.trigger("solve-task", question, settings=settings)
        with scheduler.api(settings) as client:
            done = wait_for(
                lambda: (r := client.read_flow_run(run.run_id)).state.is_final() and r, 180
            )
            assert done.state.name == "Completed"
            assert "Phone" in done.state.message
            planned = wait_for(
                lambda: {r.deployment_id for r in client.read_flow_runs() if r.auto_scheduled}, 60
            )
            assert planned <= {d.id for d in client.read_deployments()}
        assert run.url.endswith(run.run_id)
    finally:
        serving.stop()
    assert services.running(tmp_path) == {}
    with pytest.raises(SchedulerError, match="dreamlab up"):
        scheduler.trigger("solve-task", question, settings=settings)


@contextmanager
def schedule(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`dreamlab schedule` in a process of its own, once it serves."""
    command = [sys.executable, "-m", "dreamlab", "schedule"]
    process = subprocess.Popen(command, env=os.environ.copy(), stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert b"Dreaming each night" in process.stdout.readline()
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_dream_ends_with_the_process_that_serves_it_and_the_next_one_resumes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("DREAMLAB_HOME", str(tmp_path))
    settings = Settings(home=tmp_path)
    dreams = {"count": 500, "force": True}
    try:
        with schedule(tmp_path) as served:
            run = scheduler.trigger("dream-session", dreams, settings=settings)
            noted = tmp_path / "runs" / f"{run.run_id}.json"
            wait_for(noted.exists, 120, "the dream to be under way")
            process = psutil.Process(json.loads(noted.read_text())["pid"])
            wait_for(lambda: list(settings.nights_path.glob("*/plan.json")), 240, "its plan")
            served.kill()
            assert psutil.wait_procs([process], 30)[0], "it ends by itself"
        with scheduler.api(settings) as client:
            assert client.read_flow_run(run.run_id).state.is_running()
        with schedule(tmp_path), scheduler.api(settings) as client:
            wait_for(lambda: client.read_flow_run(run.run_id).state.is_crashed(), 60)
            again = wait_for(
                lambda: [r for r in client.read_flow_runs() if "resumed-1" in r.tags], 60
            )
            assert again[0].parameters["count"] == 500
    finally:
        for name in services.running(tmp_path):
            services.stop(tmp_path, name)
    assert services.running(tmp_path) == {}
