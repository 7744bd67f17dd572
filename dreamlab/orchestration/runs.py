"""What a flow run says of itself in Prefect: state, name, tags, log, progress and report.

`told` makes a plain flow function tell: a run that is not due or has nothing to do ends as
`Skipped` with the reason, one stopped at closing time as `Drained`, an empty night as `EmptyNight`.
Called where no flow run is active it is the plain function, and raises. Nothing here decides about
dreams or training.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from dreamlab.errors import Drained, DreamLabError, NightError, NothingToDo, WindowClosed
from dreamlab.lab import Lab
from dreamlab.orchestration.punctual import outdated

P = ParamSpec("P")
R = TypeVar("R")

SKIPPED, DRAINED, EMPTY = "Skipped", "Drained", "EmptyNight"
PROGRESS_SECONDS = 2.0
"""Seconds between two updates of one progress artifact."""

NICENESS = 10
"""What a night adds to its process's niceness: a question asked meanwhile goes before it."""

_outcomes: dict[UUID, Any] = {}


def active() -> bool:
    """Whether a flow run is active here."""
    from prefect.context import FlowRunContext

    return FlowRunContext.get() is not None


def say(message: str) -> None:
    """A line of the run's story: in the log of the flow run or task run, if one is active."""
    if active():
        from prefect.logging import get_run_logger

        get_run_logger().info(message)


def told(
    lab: Callable[[], Lab], ending: Callable[[Any], tuple[str, str]], *, nightly: str = ""
) -> Any:
    """Make a flow function tell how it went.

    Args:
        lab: gives the lab of this process.
        ending: of what the function returns, the name of the final state and its message.
        nightly: what work of the night this is: one of a kind at a time, at low priority.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            with alone(lab(), nightly):
                return function(*args, **kwargs)

        @wraps(function)
        def tell(*args: P.args, **kwargs: P.kwargs) -> Any:
            if not active():
                return run(*args, **kwargs)
            if nightly:
                _be_a_child()
            return _tell(lab(), run, ending, args, kwargs)

        return tell

    return decorate


@contextmanager
def alone(lab: Lab, what: str) -> Iterator[None]:
    """Hold the home's lock for a kind of work; a killed process lets go of it.

    Raises:
        NothingToDo: another process has it.
    """
    if not what:
        yield
        return
    from filelock import FileLock, Timeout

    lab.check_home()
    folder = lab.settings.home / "locks"
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / f"{what}.lock", timeout=0):
            yield
    except Timeout:
        raise NothingToDo(f"busy: another process is {what} in {lab.settings.home}") from None


def _tell(lab: Lab, function: Any, ending: Any, args: Any, kwargs: Any) -> Any:
    from prefect.states import Completed, Failed

    from dreamlab.orchestration.janitor import note

    lab.check_home()
    noted = note(lab.settings.home, str(_run_id()))
    shown, lab.progress = lab.progress, Moving(lab.progress)
    try:
        if reason := not_due(lab):
            raise NothingToDo(reason)
        result = function(*args, **kwargs)
    except DreamLabError as error:
        _outcomes[_run_id()] = error
        say(str(error))
        if isinstance(error, NothingToDo | WindowClosed):
            name = DRAINED if isinstance(error, Drained) else SKIPPED
            return Completed(name=name, message=str(error))
        return Failed(name=EMPTY if isinstance(error, NightError) else None, message=str(error))
    finally:
        lab.progress = shown
        noted.unlink(missing_ok=True)
        if lab.settings.mask_questions:
            _take_out_question()
    _outcomes[_run_id()] = result
    name, message = ending(result)
    say(message)
    return (Failed if name == EMPTY else Completed)(name=name, message=message)


def outcome(state: Any) -> Any:
    """What the flow run that ended in this state returned, in this process; raises what it raised.

    Raises:
        DreamLabError: as the plain function would have.
    """
    result = _outcomes.pop(state.state_details.flow_run_id, None)
    if isinstance(result, BaseException):
        raise result
    return state.result() if result is None else result


def not_due(lab: Lab) -> str:
    """Why this run, if a schedule made it, is not caught up; empty when it is to run."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or not run.auto_scheduled or run.expected_start_time is None:
        return ""
    scheduled, now = run.expected_start_time.astimezone(UTC), lab.now()
    return outdated(
        lab.settings.late_runs,
        scheduled,
        now,
        timedelta(minutes=lab.settings.late_after),
        newer_due=_newer_due(run, now),
    )


def _newer_due(run: Any, now: Any) -> bool:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterExpectedStartTime,
    )

    with get_client(sync_client=True) as client:
        later = client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[run.deployment_id])),
            flow_run_filter=FlowRunFilter(
                expected_start_time=FlowRunFilterExpectedStartTime(
                    after_=run.expected_start_time + timedelta(seconds=1), before_=now
                )
            ),
        )
    return any(other.auto_scheduled for other in later)


def harmless(function: Callable[P, None]) -> Callable[P, None]:
    """Let telling fail in silence where the server is away: a night does not stop for it."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:  # whatever the client raises; the night itself goes on
            logging.getLogger("dreamlab").warning("not told to Prefect: %s", error)

    return run


@harmless
def describe(name: str, tags: Sequence[str] = ()) -> None:
    """Give the active flow run a telling name, and tags beside those it has."""
    if not active():
        return
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    with get_client(sync_client=True) as client:
        client.update_flow_run(run.id, name=name, tags=sorted({*run.tags, *tags}))
    run.name = name


@harmless
def _take_out_question() -> None:
    """Take what was asked out of the active flow run's parameters: it is answered."""
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext

    from dreamlab.orchestration.janitor import take_out_question

    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        with get_client(sync_client=True) as client:
            take_out_question(client, context.flow_run)


@harmless
def report(key: str, markdown: str, description: str) -> None:
    """Keep a Markdown report with the active flow run, under a key that has a history."""
    if active():
        from prefect.artifacts import create_markdown_artifact

        create_markdown_artifact(markdown, key=key, description=description)


@harmless
def announce(lab: Lab, event: str, payload: Mapping[str, Any], shown: str = "") -> None:
    """Send an event of this lab to the Prefect server, where a flow run is active.

    Args:
        lab: whose event it is.
        event: its name.
        payload: its facts.
        shown: what `prefect deployment run --watch` prints of it; by default the directory.
    """
    if active():
        from prefect.events import emit_event

        emit_event(
            event,
            resource={
                "prefect.resource.id": f"dreamlab.lab.{lab.settings.directory}",
                "prefect.resource.name": shown.replace("[", r"\[") or lab.settings.directory,
            },
            payload=dict(payload),
        )


def _be_a_child() -> None:
    """A process that a worker started for this run alone gives way to others, and ends with it."""
    from dreamlab.orchestration.janitor import end_with_parent

    if os.environ.get("PREFECT__FLOW_RUN_ID"):
        os.nice(max(0, NICENESS - os.nice(0)))
        end_with_parent()


class Moving:
    """Progress of long work as progress artifacts, one a piece of work, and passed on as before."""

    def __init__(self, beside: Callable[[str, int, int], None]) -> None:
        self._beside = beside
        self._artifacts: dict[str, tuple[UUID, float]] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps are done; throttled, except for the last."""
        self._beside(what, done, total)
        self._show(what, done, total)

    @harmless
    def _show(self, what: str, done: int, total: int) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        share = 100.0 * done / total if total else 100.0
        if what not in self._artifacts:
            key = "".join(c if c.isalnum() else "-" for c in what.lower()).strip("-")
            made: Any = create_progress_artifact(share, key=key, description=f"{what}, of {total}")
            self._artifacts[what] = (made, time.monotonic())
            return
        artifact, shown = self._artifacts[what]
        if done >= total or time.monotonic() - shown > PROGRESS_SECONDS:
            update_progress_artifact(artifact, share)
            self._artifacts[what] = (artifact, time.monotonic())


def _run_id() -> UUID:
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return context.flow_run.id
