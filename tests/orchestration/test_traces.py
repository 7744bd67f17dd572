"""Waiting traces on their way to MLflow."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from dreamlab.cli import main
from dreamlab.errors import RegistryError
from dreamlab.lab import Lab
from dreamlab.orchestration.traces import forget_traces, send_waiting
from dreamlab.settings import Settings
from dreamlab.tracing import leave, trace_id, trace_of
from tests.test_tracing import NOW, experience


def test_what_waits_is_sent_once_mlflow_is_back(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings = Settings(home=tmp_path)
    for hour in range(3):
        moment = NOW + timedelta(hours=hour)
        leave(settings.traces_path, trace_of(experience(created_at=moment)))
    damaged = settings.traces_path / "damaged.json"
    damaged.write_text("{")
    away = Lab(Settings(home=tmp_path, tracking_uri="http://127.0.0.1:9"))
    with pytest.raises(RegistryError):
        send_waiting(away)
    assert len(list(settings.traces_path.iterdir())) == 4
    lab = Lab(settings)
    assert send_waiting(lab) == 3
    assert send_waiting(lab) == 0
    assert list(settings.traces_path.iterdir()) == []


def test_forgotten_traces_are_gone_whether_sent_or_waiting(tmp_path: Path):
    lab = Lab(Settings(home=tmp_path))
    asked = [experience(created_at=NOW + timedelta(hours=hour)) for hour in range(3)]
    forget_traces(lab, asked)
    assert not lab.settings.mlflow_path.exists()
    for one in asked[:2]:
        leave(lab.settings.traces_path, trace_of(one))
    send_waiting(lab)
    leave(lab.settings.traces_path, trace_of(asked[2]))
    forget_traces(lab, asked[1:])
    assert send_waiting(lab) == 0
    assert lab.registry.delete_traces([trace_id(one) for one in asked]) == 1


def test_the_command_says_how_many_it_sent(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("DREAMLAB_HOME", str(tmp_path))
    leave(Settings(home=tmp_path).traces_path, trace_of(experience()))
    done = CliRunner().invoke(main, ["traces"])
    assert (done.exit_code, done.output) == (0, "1 traces sent.\n")


def test_following_outlives_an_outage_and_sends_what_comes(tmp_path: Path):
    settings = Settings(home=tmp_path)
    settings.mlflow_path.parent.mkdir(exist_ok=True)
    settings.mlflow_path.write_text("in the way: MLflow is away")
    command = [sys.executable, "-m", "dreamlab", "traces", "--follow", "--every", "0.1"]
    environment = {**os.environ, "DREAMLAB_HOME": str(tmp_path)}
    leave(settings.traces_path, trace_of(experience()))
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        assert "trying again in 0.1 s" in process.stderr.readline()
        settings.mlflow_path.unlink()
        deadline = time.monotonic() + 120
        while list(settings.traces_path.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert Lab(settings).registry._client.get_trace(f"tr-{trace_of(experience()).id}")
