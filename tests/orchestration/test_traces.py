"""Waiting traces on their way to MLflow."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dreamlab.errors import RegistryError
from dreamlab.integration import Lab
from dreamlab.orchestration.traces import send_waiting
from dreamlab.settings import Settings
from dreamlab.tracing import leave, trace_of
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
