"""Traces against real MLflow on SQLite."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dreamlab.errors import RegistryError
from dreamlab.records import TaskKind
from dreamlab.settings import Settings
from dreamlab.tracing import Trace, trace_of
from dreamlab.training.registry import NIGHTS, QUESTIONS, Registry
from tests.test_tracing import experience
from tests.training.conftest import Place

ASKED = trace_of(experience(), str)
LATER = datetime(2026, 11, 23, 11, tzinfo=UTC)
DREAM = trace_of(experience(TaskKind.REFERRAL, verified=True, reasons=("fits",), created_at=LATER))


def test_a_trace_is_read_back_as_it_was_sent(place: Place):
    assert place.registry.log_traces(QUESTIONS, [ASKED]) == 1
    found = place.registry._client.get_trace(f"tr-{ASKED.id}")
    names = {s.span_id: s.name for s in found.data.spans}
    assert [(s.name, s.span_type) for s in found.data.spans] == [
        (s.name, s.kind) for s in ASKED.spans
    ]
    assert {s.name: names.get(s.parent_id) for s in found.data.spans} == {
        s.name: None if s.parent is None else ASKED.spans[s.parent].name for s in ASKED.spans
    }
    begun = int(ASKED.started_at.timestamp() * 1e9)
    for span, sent in zip(found.data.spans, ASKED.spans, strict=True):
        assert (span.start_time_ns - begun) / 1e9 == pytest.approx(sent.begins, abs=1e-6)
        assert (span.end_time_ns - span.start_time_ns) / 1e9 == pytest.approx(sent.seconds)
        assert (span.inputs, span.outputs) == (sent.inputs, sent.outputs)
    assert found.info.request_preview == ASKED.spans[0].inputs["question"]
    assert found.info.response_preview == ASKED.spans[0].outputs["answer"]
    assert found.info.execution_duration == 1050
    assert found.info.trace_metadata["mlflow.trace.session"] == "2026-11-22-asked"


def test_a_dreams_trace_belongs_to_its_night_its_version_and_its_check(place: Place):
    for key in ("k1", "k2", "k3"):
        place.version(key)
    registry = place.registry
    run = registry.start_run(NIGHTS, "n")
    registry.log_traces(NIGHTS, [DREAM], run)
    experiment = registry._client.get_experiment_by_name(NIGHTS).experiment_id
    [found] = registry._client.search_traces(locations=[experiment], run_id=run)
    assert found.info.trace_metadata["mlflow.modelId"] == registry._model_of("3")
    [verdict] = found.info.assessments
    assert (verdict.name, verdict.feedback.value, verdict.rationale) == ("verified", True, "fits")
    assert found.info.tags["dreamlab.kind"] == "referral"


def test_a_trace_sent_twice_is_there_once(place: Place):
    for _ in range(2):
        place.registry.log_traces(NIGHTS, [DREAM])
    client = place.registry._client
    experiment = client.get_experiment_by_name(NIGHTS).experiment_id
    [found] = client.search_traces(locations=[experiment])
    assert len(found.data.spans) == len(DREAM.spans)
    assert len(found.info.assessments) == 1


def test_a_deleted_trace_is_gone_and_the_others_stay(place: Place):
    registry = place.registry
    assert registry.delete_traces([ASKED.id]) == 0
    registry.log_traces(QUESTIONS, [ASKED])
    registry.log_traces(NIGHTS, [DREAM])
    assert registry.delete_traces([ASKED.id, "0" * 32]) == 1
    assert registry._client.get_trace(f"tr-{DREAM.id}")
    with pytest.raises(Exception, match=ASKED.id):
        registry._client.get_trace(f"tr-{ASKED.id}")


def test_a_version_that_is_not_registered_leaves_no_link(place: Place):
    assert place.registry.log_traces(NIGHTS, [DREAM]) == 1
    found = place.registry._client.get_trace(f"tr-{DREAM.id}")
    assert "mlflow.modelId" not in found.info.trace_metadata


def test_a_trace_that_cannot_be_sent_is_an_error(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = Settings(home=tmp_path, tracking_uri="http://127.0.0.1:9")
    with pytest.raises(RegistryError, match="cannot log traces"):
        Registry(away).log_traces(QUESTIONS, [ASKED])


def test_an_empty_trace_of_old_is_no_trouble(place: Place):
    bare = Trace("0" * 31 + "1", "solve", datetime(2026, 1, 1, tzinfo=UTC), ASKED.spans[:1])
    assert place.registry.log_traces(QUESTIONS, [bare]) == 1
