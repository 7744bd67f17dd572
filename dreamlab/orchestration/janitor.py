"""Flow runs whose process is gone: found, marked as crashed, and their night resumed; and what
people asked, taken out of the parameters of flow runs that have ended.

Every flow run notes its process in the home folder for as long as it lives. A note without its
process belongs to a run that was killed: Prefect may show it as Running for ever. A run whose
worker was killed could be neither watched nor cancelled any more: it ends itself, as if killed with
it. Whether a resumed run may work is the window's business, as of any run.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from dreamlab.files import write_atomic
from dreamlab.orchestration import scheduler, services
from dreamlab.settings import Settings

STUCK = timedelta(minutes=2)
"""A run that has been Pending for longer was lost on the way to its process."""

QUESTION, NOT_KEPT = "task", "(not kept)"
"""The parameter in which Prefect keeps a question, and what stands there in its place."""

LOOKED_AT = 200
"""Flow runs with a question that one sweep looks at, the latest."""

RESUMED = "resumed"
RESUMPTIONS = 3
"""Times that a killed run is started again by itself, each a minute, then two, then four later."""


ORPHANED = 70
"""Exit code of a process whose parent is gone."""


def end_with_parent(every: float = 1.0) -> None:
    """From now on, end this process and its children at once when its parent is gone.

    Args:
        every: seconds between looks.
    """
    parent = os.getppid()
    watch = threading.Thread(target=_end_without, args=(parent, every), daemon=True)
    watch.start()


def _end_without(parent: int, every: float) -> None:
    while os.getppid() == parent:
        time.sleep(every)
    # Without a word: who reads what this process says is gone, too, and to say it may raise.
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    os._exit(ORPHANED)


def note(home: Path, run_id: str) -> Path:
    """Note that this process runs a flow run; remove the file when it has ended."""
    process = psutil.Process()
    path = home / "runs" / f"{run_id}.json"
    mine = {"pid": process.pid, "born": process.create_time(), "host": socket.gethostname()}
    write_atomic(path, json.dumps(mine) + "\n")
    return path


def gone(home: Path) -> dict[str, Path]:
    """The flow runs whose process on this machine is gone, with their notes."""
    found = {}
    for path in (home / "runs").glob("*.json"):
        try:
            noted = json.loads(path.read_text(encoding="utf-8"))
            here = noted["host"] == socket.gethostname()
            if here and services.born(noted["pid"]) != noted["born"]:
                found[path.stem] = path
        except (OSError, ValueError, KeyError):
            continue  # removed since, or not ours
    return found


def sweep(settings: Settings) -> list[str]:
    """Mark what was killed, start killed night work again, free what is stuck; says what it did.

    Raises:
        SchedulerError: the Prefect server cannot be reached.
    """
    lost = gone(settings.home)
    said = []
    with scheduler.api(settings) as client:
        for run_id, path in lost.items():
            run = _read(client, run_id)
            if run is not None:
                said += _crash(client, run) + _resume(client, run)
            path.unlink(missing_ok=True)
        said += _free_stuck(client)
        if settings.mask_questions:
            said += _take_out_questions(client)
    return said


def _crash(client: Any, run: Any) -> list[str]:
    from prefect.states import Crashed

    if run.state.is_final():
        return []
    client.set_flow_run_state(run.id, Crashed(message="Its process is gone."), force=True)
    return [f"{run.name}: its process is gone; marked as crashed"]


def _resume(client: Any, run: Any) -> list[str]:
    """Start killed work again: what it did is kept, so that the new run goes on from there."""
    from prefect.states import Scheduled

    if run.deployment_id is None or run.state.is_completed() or run.state.is_cancelled():
        return []
    attempt = 1 + sum(tag.startswith(RESUMED) for tag in run.tags)
    if attempt > RESUMPTIONS:
        return [f"{run.name}: killed {attempt} times; not started again"]
    again = client.create_flow_run_from_deployment(
        run.deployment_id,
        parameters=run.parameters,
        tags=sorted({*run.tags, f"{RESUMED}-{attempt}"}),
        state=Scheduled(scheduled_time=datetime.now(UTC) + timedelta(minutes=2 ** (attempt - 1))),
        idempotency_key=f"resume-{run.id}",
    )
    return [f"{run.name}: started again as {again.name}, attempt {attempt} of {RESUMPTIONS}"]


def take_out_question(client: Any, run: Any) -> bool:
    """Take what a person asked out of a flow run's parameters; whether anything was there."""
    if run.parameters.get(QUESTION) in (None, "", NOT_KEPT):
        return False
    client.update_flow_run(run.id, parameters={**run.parameters, QUESTION: NOT_KEPT})
    return True


def _take_out_questions(client: Any) -> list[str]:
    """The same for runs that ended before they could do it: cancelled, killed, never started."""
    from prefect.client.schemas.filters import (
        FlowFilter,
        FlowFilterName,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import TERMINAL_STATES
    from prefect.client.schemas.sorting import FlowRunSort

    ended = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=["solve-task"])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(TERMINAL_STATES)))
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=LOOKED_AT,
    )
    taken = sum(take_out_question(client, run) for run in ended)
    return [f"questions taken out of the parameters of ended runs: {taken}"] if taken else []


def _free_stuck(client: Any) -> list[str]:
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        WorkPoolFilter,
        WorkPoolFilterName,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.states import Scheduled

    pending = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING]))
        ),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=["dreamlab"])),
    )
    said = []
    for run in pending:
        if datetime.now(UTC) - run.state.timestamp > STUCK:
            client.set_flow_run_state(run.id, Scheduled(), force=True)
            said.append(f"{run.name}: stuck on its way to a process; scheduled again")
    return said


def _read(client: Any, run_id: str) -> Any:
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_flow_run(run_id)
    except ObjectNotFound:
        return None  # of another server, or deleted
