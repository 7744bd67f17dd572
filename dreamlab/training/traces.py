"""Traces into MLflow: a part of the MLflow door that speaks of spans instead of runs.

A trace is sent whole, under an id of its own, so that one sent twice is there once and one that
could not be sent is an error. MLflow's fluent tracing does neither: it makes random ids, sends in
the background and swallows failures.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from dreamlab.tracing import Span, Trace

if TYPE_CHECKING:
    from mlflow.entities import Assessment

PREVIEW = 1000
"""Characters of question and answer that MLflow's list of traces shows."""


def send(uri: str, experiment: str, trace: Trace, run_id: str = "", model_id: str = "") -> None:
    """Sends one trace to an experiment of the MLflow at `uri`.

    Args:
        uri: MLflow's tracking URI.
        experiment: the experiment's id.
        trace: the trace.
        run_id: the run that it belongs to, if any.
        model_id: the logged model that took part, if any.

    Raises:
        mlflow.exceptions.MlflowException: MLflow refuses or cannot be reached.
    """
    from mlflow.entities import Span as Logged
    from mlflow.entities import TraceInfo, TraceLocation, TraceState
    from mlflow.tracing.client import TracingClient

    client = TracingClient(uri)
    begun = int(trace.started_at.timestamp() * 1e9)
    whole = trace.spans[0]
    metadata = {
        "mlflow.trace.session": trace.night,
        "mlflow.sourceRun": run_id,
        "mlflow.modelId": model_id,
        "mlflow.traceInputs": json.dumps(whole.inputs),
        "mlflow.traceOutputs": json.dumps(whole.outputs),
    }
    spans = [_span(trace.id, i, span, begun) for i, span in enumerate(trace.spans)]
    client.log_spans(experiment, [Logged.from_dict(span) for span in spans])
    client.start_trace(
        TraceInfo(
            trace_id=f"tr-{trace.id}",
            trace_location=TraceLocation.from_experiment_id(experiment),
            request_time=begun // 10**6,
            execution_duration=round(whole.seconds * 1000),
            state=TraceState.OK,
            request_preview=str(whole.inputs["question"])[:PREVIEW],
            response_preview=str(whole.outputs["answer"])[:PREVIEW],
            trace_metadata={name: value for name, value in metadata.items() if value},
            tags={
                "mlflow.traceName": trace.name,
                "mlflow.trace.spansLocation": "TRACKING_STORE",
                **{f"dreamlab.{name}": value for name, value in trace.tags.items()},
            },
            assessments=_assessments(trace),
        )
    )


def _span(trace_id: str, number: int, span: Span, begun: int) -> dict[str, Any]:
    """A span as MLflow writes them: ids in base64, the attributes' values in JSON."""

    def id_of(index: int) -> str:
        return base64.b64encode((index + 1).to_bytes(8, "big")).decode()

    start = begun + int(span.begins * 1e9)
    attributes = {
        "mlflow.traceRequestId": f"tr-{trace_id}",
        "mlflow.spanType": span.kind,
        "mlflow.spanInputs": span.inputs,
        "mlflow.spanOutputs": span.outputs,
    }
    return {
        "name": span.name,
        "trace_id": base64.b64encode(bytes.fromhex(trace_id)).decode(),
        "span_id": id_of(number),
        "parent_span_id": "" if span.parent is None else id_of(span.parent),
        "start_time_unix_nano": start,
        "end_time_unix_nano": start + int(span.seconds * 1e9),
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": {name: json.dumps(value) for name, value in attributes.items()},
    }


def _assessments(trace: Trace) -> list[Assessment]:
    """Whether a dream was verified, in the column that MLflow has for judgements."""
    if "verified" not in trace.tags:
        return []
    from mlflow.entities import AssessmentSource, Feedback

    verdict = Feedback(
        name="verified",
        value=trace.tags["verified"] == "yes",
        rationale=trace.tags.get("reasons"),
        source=AssessmentSource(source_type="CODE", source_id="dreamlab check"),
        trace_id=f"tr-{trace.id}",
    )
    verdict.assessment_id = f"a-{trace.id}"  # the same trace again adds no second one
    return [verdict]
