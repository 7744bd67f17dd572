"""The routes of the web API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, jsonify, request
from pydantic import BaseModel
from werkzeug.exceptions import BadRequest

from dreamlab.api import standing
from dreamlab.api.access import Doorkeeper, limit_rate
from dreamlab.api.openapi import document
from dreamlab.api.problems import HINTS, Problem, of_status, problem_of
from dreamlab.api.shapes import (
    Memories,
    MemoriesQuery,
    MemoryShape,
    SolveRequest,
    Triggered,
    TriggerRequest,
)
from dreamlab.api.solving import Solver

if TYPE_CHECKING:
    from dreamlab.hosting.process import HostedLab
    from dreamlab.hosting.scheduler import DreamScheduler
    from dreamlab.hosting.team import DreamTeam

PREFIX = "/api/dream_lab"
LARGEST = 64 * 1024
"""Bytes of a request's body."""


def register(
    app: Flask, hosted: HostedLab, team: DreamTeam, scheduler: DreamScheduler
) -> Blueprint:
    """Add the API to an application, at `/api/dream_lab`.

    Raises:
        SettingsError: a setting of the API has a bad value.
    """
    api = Blueprint("dream_lab", __name__, url_prefix=PREFIX)
    doorkeeper, solver = Doorkeeper(hosted.settings), Solver(hosted, team)

    @api.before_request
    def admit() -> None:
        request.max_content_length = LARGEST
        doorkeeper.check(request)

    @api.errorhandler(Exception)
    def refuse(error: Exception) -> Response:
        return problem_of(error).response

    @api.get("/status")
    def status() -> Response:
        _no_query()
        return _json(standing.status(hosted.lab, scheduler))

    @api.post("/trigger_dream")
    def trigger_dream() -> tuple[Response, int]:
        _no_query()
        asked = TriggerRequest.model_validate(_body(optional=True))
        standing.check_facets(hosted.lab, asked)
        started = scheduler.trigger_dream_session(**asked.model_dump(exclude_none=True))
        shape = Triggered(run_id=started.run_id, name=started.name, ui_url=started.url or None)
        return _json(shape), 202

    @api.get("/memories")
    def memories() -> Response:
        asked = MemoriesQuery.model_validate(_query())
        found = scheduler.memory_system.retrieve_relevant_memories(asked.query, asked.limit)
        return _json(Memories(memories=[MemoryShape.of(memory) for memory in found]))

    @api.get("/training/stats")
    def training_stats() -> Response:
        _no_query()
        return _json(standing.training(hosted.lab, scheduler))

    @api.post("/solve")
    def solve() -> Response:
        _no_query()
        asked = SolveRequest.model_validate(_body())
        if asked.stream or request.accept_mimetypes.best == "text/event-stream":
            return Response(
                solver.stream(asked),
                mimetype="text/event-stream",
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            )
        return _json(solver.solve(asked))

    @api.get("/openapi.json")
    def openapi() -> Response:
        _no_query()
        return jsonify(document(hosted.lab.catalog))

    @api.after_app_request
    def nothing_there(response: Response) -> Response:
        """Addresses and methods that match no route never reach the blueprint."""
        ours = request.path == PREFIX or request.path.startswith(f"{PREFIX}/")
        if not ours or request.endpoint is not None or response.status_code not in (404, 405):
            return response
        code, message, hint = HINTS[response.status_code]
        kept = {"Allow": response.headers["Allow"]} if "Allow" in response.headers else {}
        return Problem(response.status_code, code, message, hint, kept).response

    limit_rate(app, api, hosted.settings)
    app.register_blueprint(api)
    return api


def _json(shape: BaseModel) -> Response:
    return Response(shape.model_dump_json(), mimetype="application/json")


def _body(*, optional: bool = False) -> Any:
    """The JSON of the request's body; an optional one may be left out."""
    if optional and not request.get_data(cache=True):
        return {}
    try:
        return request.get_json()
    except (RecursionError, UnicodeDecodeError):
        raise of_status(BadRequest()) from None


def _query() -> dict[str, str]:
    """The parameters of the address, each given once."""
    given = request.args.to_dict(flat=False)
    if doubled := [name for name, values in given.items() if len(values) > 1]:
        raise Problem(422, "invalid", f"{doubled[0][:80]}: given twice", "Give it once.")
    return {name: values[0] for name, values in given.items()}


def _no_query() -> None:
    if request.args:
        name = next(iter(request.args))[:80]
        raise Problem(422, "invalid", f"{name}: unknown parameter", "Leave it out.")
