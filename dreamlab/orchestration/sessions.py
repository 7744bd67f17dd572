"""Dream sessions asked for from outside: whether one is under way, starting one, the schedule.

Where a Prefect API is at hand (configured, or kept by this lab) a session is a flow run of the
deployment; where none is, it is a process of its own. Either way only one is under way in a home,
and whoever asks does not wait for it. What a session does is the flow's business.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dreamlab.errors import SchedulerError, StorageError, UnderWay
from dreamlab.orchestration import scheduler, services
from dreamlab.orchestration.scheduler import Started
from dreamlab.settings import Settings, to_environment

DREAMS = "dream-session"
LOCKS = "locks"
DREAMING, TRIGGER, SCHEDULE = "dreaming", "trigger", "schedule"
TRIGGER_SECONDS = 60.0


def dreaming_here(settings: Settings) -> bool:
    """Whether a process is dreaming in this home now, or was started to."""
    return held(settings, DREAMING) or services.find(settings.home, DREAMS) is not None


def held(settings: Settings, name: str) -> bool:
    """Whether a process holds one of the home's locks; writes nothing where there is none."""
    from filelock import FileLock, Timeout

    path = settings.home / LOCKS / f"{name}.lock"
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


@contextmanager
def alone(settings: Settings, name: str, timeout: float) -> Iterator[None]:
    """Hold one of the home's locks; a killed process lets go of it.

    Raises:
        UnderWay: another process has it for longer than `timeout` seconds.
        StorageError: the home folder cannot be written.
    """
    from filelock import FileLock, Timeout

    path = settings.home / LOCKS / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=timeout):
            yield
    except Timeout:
        raise UnderWay(f"another process has the {name} lock of {settings.home}") from None
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror}; fix its rights or set DREAMLAB_HOME"
        ) from None


def trigger(settings: Settings, parameters: Mapping[str, Any]) -> Started:
    """Start a dream session and return at once with what was started.

    Args:
        settings: of the lab that dreams.
        parameters: of the flow `dream-session`; those left out have its defaults.

    Raises:
        UnderWay: a session is under way.
        SchedulerError: the Prefect server cannot be reached, or refuses.
        StorageError: the home folder cannot be written.
    """
    with alone(settings, TRIGGER, TRIGGER_SECONDS):
        if dreaming_here(settings):
            raise UnderWay("a dream session is under way; wait for its end")
        if scheduler.api_url(settings):
            if run := under_way(settings):
                raise UnderWay(f"dream session {run.name} is under way; wait for its end")
            return scheduler.trigger(DREAMS, parameters, settings=settings)
        return _start_process(settings, parameters)


def under_way(settings: Settings) -> Started | None:
    """The dream session that the Prefect API knows to run, or to be about to.

    Raises:
        SchedulerError: the API cannot be reached.
    """
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterName,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    with scheduler.api(settings) as client:
        runs = client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[DREAMS])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(
                    type=FlowRunFilterStateType(
                        any_=[StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]
                    )
                )
            ),
        )
        for run in runs:
            # A schedule fills the days ahead; what a person asked for is meant for now.
            if run.state_type != StateType.SCHEDULED or not run.auto_scheduled:
                url = scheduler.run_url(str(client.api_url), str(run.id))
                return Started(str(run.id), run.name, url)
    return None


def set_schedule(settings: Settings, *, active: bool) -> int:
    """Turn the schedules of the deployed flows on or off; returns how many deployments there are.

    Raises:
        SchedulerError: the API cannot be reached, or has none of the deployments.
    """
    from prefect.exceptions import ObjectNotFound

    known = 0
    with scheduler.api(settings) as client:
        for deployment in scheduler.deployments():
            try:
                found = client.read_deployment_by_name(deployment.full_name)
            except ObjectNotFound:
                continue
            known += 1
            (client.resume_deployment if active else client.pause_deployment)(found.id)
    if not known:
        raise SchedulerError(
            "the Prefect server has none of the deployments; "
            "deploy them: `dreamlab up`, or `prefect --no-prompt deploy --all`"
        )
    return known


def _start_process(settings: Settings, parameters: Mapping[str, Any]) -> Started:
    options = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
        for name, value in parameters.items()
        if value not in (None, False, "")
    ]
    service = services.Service(
        DREAMS,
        (sys.executable, "-m", "dreamlab", "dream", "--json", *options),
        settings.home,
        env=to_environment(settings),
    )
    service.start()
    return Started(str(uuid.uuid4()), DREAMS, "")


def log_of(settings: Settings) -> Path:
    """Where a session that is a process of its own writes what it says."""
    return services.Service(DREAMS, (), settings.home).log
