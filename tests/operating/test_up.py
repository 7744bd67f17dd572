"""`dreamlab up` as an operator runs it, in a fresh home, and everything it starts."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from dreamlab.orchestration import answering, services
from dreamlab.settings import Settings
from dreamlab.training.registry import QUESTIONS
from tests.operating.conftest import wait_for

pytestmark = pytest.mark.slow


def test_one_command_has_the_lab_deployed_and_one_takes_it_down(tmp_path: Path) -> None:
    home = tmp_path / "home"
    foreign = ("DREAMLAB_", "PREFECT_API", "MLFLOW_TRACKING")  # the last left by tests before
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    env = {**kept, "DREAMLAB_HOME": str(home), "PREFECT_HOME": str(tmp_path / "prefect")}

    def dreamlab(*arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "dreamlab", *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    ports = ("--prefect-port", "0", "--mlflow-port", "0")
    try:
        first = dreamlab("up", *ports, "--detach")
        alive = services.running(home)
        assert set(alive) == {"up", "prefect", "mlflow", "answering", "traces", "worker"}
        assert alive["prefect"].url in first
        assert alive["mlflow"].url in first
        again = dreamlab("up", *ports)
        assert "already" in again
        assert services.running(home) == alive
        wait_for(lambda: '"blocked"' not in dreamlab_doctor(env), 60, "a healthy doctor")
        found = {f["gate"]: f for f in json.loads(dreamlab("doctor", "--json"))}
        assert "next dream session" in found["schedule"]["message"]
        resident = wait_for(
            lambda: answering.ask(Settings(home=home), "Where is a food pantry in Delano?"), 120
        )
        assert "Phone" in resident.answers[0].text
        sent = wait_for(lambda: traces_shown(alive["mlflow"].url), 90, "its trace in MLflow")
        assert [t["tags"]["mlflow.traceName"] for t in sent] == ["solve"]
        for name in ("worker", "traces"):
            services.stop(home, name)
        wait_for(
            lambda: {"worker", "traces"} <= set(services.running(home)), 90, "both to be up again"
        )
    finally:
        said = dreamlab("down")
    assert "traces, up, worker" in said
    assert services.running(home) == {}
    assert "Nothing was up" in dreamlab("down")
    assert "dreamlab up" in dreamlab("doctor", code=1)


def dreamlab_doctor(env: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-m", "dreamlab", "doctor", "--json"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def traces_shown(mlflow: str) -> list[dict[str, Any]]:
    """The traces of questions that MLflow's server shows."""

    def call(path: str, **body: object) -> Any:
        request = Request(
            f"{mlflow}/api/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=30) as reply:
            return json.load(reply)

    found = call("2.0/mlflow/experiments/search", max_results=100).get("experiments", [])
    ids = [e["experiment_id"] for e in found if e["name"] == QUESTIONS]
    places = [
        {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": id_}} for id_ in ids
    ]
    return call("3.0/mlflow/traces/search", locations=places).get("traces", []) if ids else []
