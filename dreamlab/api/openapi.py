"""The OpenAPI document: made of the shapes, so that it says what the API takes and gives."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dreamlab import __version__
from dreamlab.api.shapes import (
    Memories,
    MemoriesQuery,
    ProblemShape,
    Solved,
    SolveRequest,
    Status,
    TrainingStats,
    Triggered,
    TriggerRequest,
)
from dreamlab.directory.catalog import Catalog

REFUSALS = {
    400: "The request cannot be read.",
    401: "A token is needed.",
    409: "Not now: a session is under way, the window is closed, or tonight is dreamt.",
    413: "The request is too large.",
    415: "The request is not JSON.",
    422: "A field is unknown, missing or has a bad value.",
    429: "Too many requests.",
    503: "The lab cannot do this now.",
}
STREAM = (
    "Server-sent events: `role` (a RoleShape) as each role answers, then `answer` (Solved) or "
    "`problem` (ProblemShape)."
)
IN: tuple[type[BaseModel], ...] = (SolveRequest, TriggerRequest)
OUT: tuple[type[BaseModel], ...] = (
    Memories,
    ProblemShape,
    Solved,
    Status,
    TrainingStats,
    Triggered,
)


def document(catalog: Catalog) -> dict[str, Any]:
    """The document, with the needs and groups of this directory."""
    schemas = _schemas()
    fields = schemas["TriggerRequest"]["properties"]
    for name, values in (("need", catalog.needs), ("group", catalog.groups)):
        fields[name] = {
            "enum": [None, "", *values],
            "default": None,
            "description": fields[name]["description"],
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dream Lab",
            "version": __version__,
            "description": "Answers questions about social services, and learns at night.",
        },
        "servers": [{"url": "/api/dream_lab"}],
        "security": [{"bearer": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> dict[str, Any]:
    _, found = models_json_schema(
        [*((model, "validation") for model in IN), *((model, "serialization") for model in OUT)],
        ref_template="#/components/schemas/{model}",
    )
    return dict(found["$defs"])


def _paths() -> dict[str, Any]:
    reading = (401, 422, 429, 503)
    sending = (400, 401, 413, 415, 422, 429, 503)
    return {
        "/status": {
            "get": _operation("status", "How the lab stands", {200: Status}, reading),
        },
        "/trigger_dream": {
            "post": _operation(
                "trigger_dream",
                "Start a dream session and return at once",
                {202: Triggered},
                (*sending, 409),
                body=(TriggerRequest, False),
            ),
        },
        "/memories": {
            "get": {
                **_operation("memories", "Recall memories", {200: Memories}, reading),
                "parameters": _parameters(),
            },
        },
        "/training/stats": {
            "get": _operation(
                "training_stats", "What has been learnt so far", {200: TrainingStats}, reading
            ),
        },
        "/solve": {
            "post": _operation(
                "solve", "Answer a question", {200: Solved}, sending, body=(SolveRequest, True)
            ),
        },
    }


def _operation(
    name: str,
    summary: str,
    answers: dict[int, type[BaseModel]],
    refusals: tuple[int, ...],
    body: tuple[type[BaseModel], bool] | None = None,
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): {"description": "Done.", "content": _content(model)}
        for status, model in answers.items()
    }
    if name == "solve":
        responses["200"]["content"]["text/event-stream"] = {
            "schema": {
                "description": STREAM,
                "type": "object",
                "properties": {
                    "event": {"enum": ["role", "answer", "problem"]},
                    "data": {"type": "string", "contentMediaType": "application/json"},
                },
                "required": ["event", "data"],
            }
        }
    for status in sorted(refusals):
        responses[str(status)] = {
            "description": REFUSALS[status],
            "content": _content(ProblemShape),
        }
    operation: dict[str, Any] = {"operationId": name, "summary": summary, "responses": responses}
    if body:
        operation["requestBody"] = {"required": body[1], "content": _content(body[0])}
    return operation


def _content(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}


def _parameters() -> list[dict[str, Any]]:
    schema = MemoriesQuery.model_json_schema()
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": field.pop("description"),
            "schema": {k: v for k, v in field.items() if k != "title"},
        }
        for name, field in schema["properties"].items()
    ]
