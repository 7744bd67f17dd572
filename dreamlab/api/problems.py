"""What the web API says when it refuses: one JSON shape, never a path, a secret or a trace."""

from __future__ import annotations

import logging
from typing import Any

from flask import Response, jsonify
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from dreamlab.errors import DreamLabError, NightError, QuestionError, UnderWay, WindowClosed

log = logging.getLogger("dreamlab")


class Problem(Exception):
    """A refusal: its status, a stable code, a message, what to do about it, extra headers."""

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        hint: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.hint = hint
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, str]:
        """The JSON answer."""
        return {"error": self.error, "message": self.message, "hint": self.hint}

    @property
    def response(self) -> Response:
        """The whole answer."""
        response = jsonify(self.body)
        response.status_code = self.status
        response.headers.update(self.headers)
        return response


HINTS = {
    400: ("bad_request", "The request cannot be read.", "Send JSON as the document describes."),
    404: ("not_found", "There is nothing at this address.", "See openapi.json beside it."),
    405: ("method_not_allowed", "This address takes other methods.", "See the header Allow."),
    413: ("too_large", "The request is too large.", "Send at most 64 KiB."),
    415: ("not_json", "The request is not JSON.", "Set Content-Type to application/json."),
    429: ("too_many_requests", "Too many requests.", "Wait as long as Retry-After says."),
}
BUSY = Problem(
    503,
    "busy",
    "The team has not answered in time.",
    "Ask again as the header Retry-After says.",
    {"Retry-After": "10"},
)


def problem_of(error: Exception) -> Problem:
    """The refusal that an error amounts to; what is not foreseen is logged and not shown."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationError):
        return invalid(error)
    if isinstance(error, QuestionError):
        return Problem(422, "invalid", str(error), "Ask in a sentence or a few words.")
    if isinstance(error, WindowClosed):
        return Problem(
            409,
            "window_closed",
            "It is outside the downtime window.",
            'See /status for its hours, or send {"force": true}; that is recorded.',
        )
    if isinstance(error, UnderWay):
        return Problem(409, "under_way", "A dream session is under way.", "Wait for its end.")
    if isinstance(error, NightError):
        return Problem(409, "no_night", str(error), 'Send {"again": true} for another night.')
    if isinstance(error, HTTPException) and (error.code or 500) < 500:
        return of_status(error)
    if isinstance(error, DreamLabError):
        log.error("%s: %s", type(error).__name__, error)
    else:
        log.error("a request failed", exc_info=error)
    return Problem(
        503 if isinstance(error, DreamLabError) else 500,
        "unavailable",
        "The lab cannot do this now.",
        "Its operator finds the reason in the log.",
    )


def of_status(error: HTTPException) -> Problem:
    """The refusal of an HTTP error of the framework's."""
    status = error.code or 400
    code, message, hint = HINTS.get(status, HINTS[400])
    kept = ("Retry-After", "Allow")
    headers = {k: v for k, v in error.get_headers() if k in kept}
    return Problem(status, code, message, hint, headers)


def invalid(error: ValidationError) -> Problem:
    """What is wrong with which field; the value itself is not repeated."""
    found: list[dict[str, Any]] = [dict(e) for e in error.errors(include_url=False)]
    told = [f"{'.'.join(map(str, e['loc']))[:80] or 'the body'}: {e['msg']}" for e in found[:5]]
    return Problem(422, "invalid", "; ".join(told), "See openapi.json for what is allowed.")
