"""What an installation needs, checked one by one, and the gate that blocks the next night.

Every check answers in one line with its remedy and changes nothing. A server that is not configured
is no fault; one that is configured and cannot be reached is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Literal

from dreamlab.errors import DreamLabError
from dreamlab.lab import Lab
from dreamlab.orchestration import dreaming, learning, operating, scheduler, services

State = Literal["ok", "note", "blocked"]
NEEDED_GIGABYTES = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, how it stands, and what to do if it blocks the next night."""

    gate: str
    state: State
    message: str


def examine(lab: Lab) -> list[Finding]:
    """All checks, the ones that block the next night included; none of them raises."""
    checks: tuple[tuple[str, Callable[[Lab], Iterator[Finding]]], ...] = (
        ("packages", _packages),
        ("home", _home),
        ("directory", _directory),
        ("window", _window),
        ("mlflow", _mlflow),
        ("prefect", _prefect),
        ("last night", _last_night),
        ("examples", _examples),
        ("traces", _traces),
    )
    found: list[Finding] = []
    for gate, check in checks:
        try:
            found += check(lab)
        except DreamLabError as error:
            found.append(Finding(gate, "blocked", str(error)))
    return found


def verdict(found: list[Finding]) -> str:
    """The conclusion in one line: the first gate that blocks the next night, if any."""
    blocked = [f for f in found if f.state == "blocked"]
    if not blocked:
        return "Nothing blocks the next night."
    more = f" (and {len(blocked) - 1} more)" if len(blocked) > 1 else ""
    return f"The next night is blocked by: {blocked[0].gate}{more}."


def _packages(lab: Lab) -> Iterator[Finding]:
    """Version skew between what is installed and what this release runs with."""
    from packaging.requirements import Requirement

    wrong = []
    for line in metadata.requires("dreamlab") or []:
        need = Requirement(line)
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{need.name} is missing")
            continue
        if not need.specifier.contains(installed, prereleases=True):
            wrong.append(f"{need.name} {installed} is not {need.specifier}")
    if wrong:
        yield Finding("packages", "blocked", f"{'; '.join(wrong)}: run `pip install .` again")
    else:
        yield Finding("packages", "ok", "every package has a version that this release runs with")


def _home(lab: Lab) -> Iterator[Finding]:
    free = operating.free_gigabytes(lab.settings)
    lab.check_home()
    if free < NEEDED_GIGABYTES:
        message = f"{free:.1f} GB free, {NEEDED_GIGABYTES:.0f} needed: free space"
        yield Finding("disk", "blocked", f"{lab.settings.home}: {message} or set DREAMLAB_HOME")
    else:
        yield Finding("disk", "ok", f"{lab.settings.home}: {free:.0f} GB free")


def _directory(lab: Lab) -> Iterator[Finding]:
    yield Finding("directory", "ok", f"{lab.catalog.name}, {len(lab.catalog)} services")


def _window(lab: Lab) -> Iterator[Finding]:
    """Whether the schedules lie inside the downtime window of these settings."""
    window, now = dreaming.window_of(lab), lab.now()
    state = (
        "open"
        if window.contains(now)
        else f"opens {window.opens(now).astimezone(window.zone):%a %H:%M}"
    )
    outside = sorted(
        {
            f"{d.name} at {hour:02d}:00"
            for d in scheduler.deployments()
            for cron in d.crons
            for hour in hours_of(cron)
            if not window.holds(hour)
        }
    )
    if any(name.startswith("dream-session") for name in outside):
        message = f"{window} does not hold the schedule of {', '.join(outside)}: change "
        yield Finding("window", "blocked", message + "DREAMLAB_DOWNTIME_START_HOUR or prefect.yaml")
    else:
        beyond = f"; outside it, and skipped: {', '.join(outside)}" if outside else ""
        yield Finding("window", "note" if outside else "ok", f"{window}, {state}{beyond}")


def hours_of(cron: str) -> list[int]:
    """The hours that the hour field of a cron line names."""
    hours: list[int] = []
    for part in cron.split()[1].split(","):
        first, _, last = part.partition("-")
        if first == "*":
            return list(range(24))
        hours += range(int(first), int(last or first) + 1)
    return hours


def _mlflow(lab: Lab) -> Iterator[Finding]:
    champion = lab.registry.champion()
    version = f"version {champion.number} answers" if champion else "no version yet"
    yield Finding("mlflow", "ok", f"{lab.settings.resolved_tracking_uri}: {version}")


def _prefect(lab: Lab) -> Iterator[Finding]:
    url = scheduler.api_url(lab.settings)
    if not url:
        yield Finding(
            "prefect", "blocked", "no server is configured or kept here: run `dreamlab up`"
        )
        return
    with scheduler.api(lab.settings) as client:
        yield _server(client, url)
        yield from _deployed(client)
        yield _worker(lab, client)
        yield _due(lab, client)


def _server(client: Any, url: str) -> Finding:
    theirs, ours = str(client.api_version()), metadata.version("prefect")
    if theirs.split(".")[:2] != ours.split(".")[:2]:
        message = f"the server at {url} is Prefect {theirs}, this is {ours}: install the same"
        return Finding("version skew", "blocked", message)
    return Finding("prefect", "ok", f"{url}, version {theirs}")


def _deployed(client: Any) -> Iterator[Finding]:
    known = {d.name: d for d in client.read_deployments()}
    listed = [d.name for d in scheduler.deployments()]
    missing = [name for name in listed if name not in known]
    paused = [
        name
        for name in listed
        if name in known
        and (known[name].paused or not any(s.active for s in known[name].schedules))
    ]
    if missing:
        message = f"missing: {', '.join(missing)}; run `dreamlab up`"
        yield Finding("deployments", "blocked", message)
    elif paused:
        state: State = "blocked" if "dream-session" in paused else "note"
        yield Finding("deployments", state, f"paused: {', '.join(paused)}; resume them in the UI")
    else:
        yield Finding("deployments", "ok", ", ".join(listed))


def _worker(lab: Lab, client: Any) -> Finding:
    from prefect.exceptions import ObjectNotFound

    if services.find(lab.settings.home, scheduler.SERVING):
        return Finding("worker", "ok", "this machine serves the deployments")
    try:
        pool = client.read_work_pool(operating.POOL)
    except ObjectNotFound:
        return Finding("work pool", "blocked", "there is no pool `dreamlab`; run `dreamlab up`")
    if pool.is_paused:
        return Finding("work pool", "blocked", "the pool `dreamlab` is paused; resume it in the UI")
    workers = client.read_workers_for_work_pool(operating.POOL)
    online = [w.name for w in workers if str(w.status.value).upper() == "ONLINE"]
    if not online:
        message = "no worker of pool `dreamlab` is online; run `dreamlab up` or start one"
        return Finding("worker", "blocked", message)
    return Finding("worker", "ok", f"{len(online)} online")


def _due(lab: Lab, client: Any) -> Finding:
    """When the server will start the next dream session by itself."""
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterName,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=["dream-session"])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=1,
    )
    if not runs:
        message = "the server has planned no dream session; is its scheduler running, and is "
        return Finding("schedule", "blocked", message + "SQLAlchemy older than 2.1 there?")
    due: datetime = runs[0].expected_start_time
    local = due.astimezone(lab.settings.zone)
    late = f", late since {local:%H:%M}" if due < datetime.now(UTC) else ""
    return Finding("schedule", "ok", f"next dream session {local:%a %Y-%m-%d %H:%M %Z}{late}")


def _last_night(lab: Lab) -> Iterator[Finding]:
    if pending := dreaming.unfinished(lab):
        night = ", ".join(plan.night for plan in pending)
        yield Finding("last night", "note", f"{night} is unfinished: the next night resumes it")
    last = dreaming.last_manifest(lab)
    if last is None:
        yield Finding("last night", "note", "none yet")
    elif last.problem:
        yield Finding("last night", "note", f"{last.night} came out empty: {last.problem}")
    else:
        message = f"{last.night}: {last.verified} of {last.solved} dreams verified"
        yield Finding("last night", "ok", message)


def _examples(lab: Lab) -> Iterator[Finding]:
    """Whether a training would start: this blocks no dreams, and dreams may mend it."""
    needed = lab.settings.min_examples_for_training
    fresh = learning.fresh_examples(lab) if lab.settings.memory_path.exists() else 0
    if fresh >= needed:
        yield Finding("examples", "ok", f"{fresh} wait for a training")
    else:
        message = f"{fresh} of {needed}: the next training waits for {needed - fresh} more"
        yield Finding("examples", "note", message)


def _traces(lab: Lab) -> Iterator[Finding]:
    """Whether traces reach MLflow by themselves: a night needs none of them."""
    waiting = sum(1 for _ in lab.settings.traces_path.glob("*.json"))
    if services.find(lab.settings.home, operating.TRACES):
        yield Finding("traces", "ok", f"sent as they come, {waiting} wait")
    elif waiting:
        message = f"{waiting} wait for MLflow: `dreamlab traces` sends them, else the next night"
        yield Finding("traces", "note", message)
    else:
        yield Finding("traces", "ok", "none waits for MLflow")
