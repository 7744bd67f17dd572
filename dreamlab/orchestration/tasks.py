"""The Prefect door: the steps of the flows as tasks, and how a flow is run from here.

A task is a name, retries and a timeout around one step of `dreaming` or `learning`. It carries
records, never clients: each process opens one lab. Inside a Prefect flow run a step is a task run;
called where no flow run is active (no server is configured) it is the plain function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

from dreamlab.integration import Lab, open_lab
from dreamlab.orchestration import dreaming, learning
from dreamlab.orchestration.budget import Budget
from dreamlab.records import (
    Experience,
    NightReport,
    Plan,
    Task,
    Training,
    TrainingReport,
    Verdict,
)

P = ParamSpec("P")
R = TypeVar("R")

_lab: list[Lab] = []


def current_lab() -> Lab:
    """The lab of this process: the one given to `use_lab`, else the environment's."""
    if not _lab:
        _lab.append(open_lab())
    return _lab[0]


def use_lab(lab: Lab) -> None:
    """Let the flows of this process work on `lab`."""
    _lab[:] = [lab]


def step(
    name: str, *, retries: int = 0, timeout: float | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a Prefect task wherever a flow run is active.

    Args:
        name: the task's name in the UI.
        retries: how often a failed run is tried again, with exponential back-off and jitter.
        timeout: seconds after which a run is failed.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @cache
        def task() -> Any:
            from prefect import task as prefect_task
            from prefect.tasks import exponential_backoff

            return prefect_task(
                name=name,
                retries=retries,
                retry_delay_seconds=exponential_backoff(2),
                retry_jitter_factor=0.5,
                timeout_seconds=timeout,
                # An expected failure says the same a second time.
                retry_condition_fn=_worth_retrying,
                persist_result=False,
            )(function)

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            return task()(*args, **kwargs) if _in_flow_run() else function(*args, **kwargs)

        return run

    return decorate


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    from dreamlab.errors import DreamLabError, StorageError

    try:
        state.result()
    except StorageError:
        return True
    except DreamLabError:
        return False
    except Exception:
        return True
    return False


def _in_flow_run() -> bool:
    from prefect.context import FlowRunContext

    return FlowRunContext.get() is not None


def server_configured() -> bool:
    """Whether a Prefect API is configured, by the environment or the active profile."""
    from prefect.settings import PREFECT_API_URL

    return bool(PREFECT_API_URL.value())


def run_flow(flow: Any, **parameters: Any) -> Any:
    """Run a flow in this process: as a flow run where a Prefect API is configured, else plainly.

    Plainly means without a server: Prefect's temporary one takes seconds to start and outlives a
    killed parent.
    """
    return flow(**parameters) if server_configured() else flow.fn(**parameters)


@step("open session")
def open_session(force: bool) -> Budget:
    """What this session may spend; raises WindowClosed outside the window unless forced."""
    lab = current_lab()
    lab.check_home()
    return dreaming.open_session(lab, force=force)


@step("first version", retries=2)
def first_version() -> None:
    """Make sure that the untouched base model is registered as version 1, with its score."""
    learning.ensure_first_version(current_lab())


@step("plan", retries=2)
def plan(
    count: int | None,
    strategy: str | None,
    need: str,
    group: str,
    seed: int | None,
    again: bool,
    force: bool,
) -> Plan:
    """The plan of the night to dream, kept on disk."""
    return dreaming.plan_night(
        current_lab(),
        count=count,
        strategy=strategy,
        need=need,
        group=group,
        seed=seed,
        again=again,
        force=force,
    )


def batches(plan: Plan) -> Iterator[tuple[Task, ...]]:
    """The plan's unsolved tasks in batches of one step each, with progress."""
    return dreaming.batches(current_lab(), plan)


def spent(budget: Budget) -> str:
    """The reason code of the bound that stops the session now, empty while none does."""
    lab = current_lab()
    return budget.spent(lab.now()) or dreaming.models_exhausted(lab)


@step("solve", retries=2)
def solve(plan: Plan, batch: Sequence[Task]) -> int:
    """Solve, check and remember a batch; returns the rows added."""
    return dreaming.solve_dreams(current_lab(), plan, batch)


@step("reflect", retries=2)
def reflect(plan: Plan) -> int:
    """Write down what the night teaches; returns the notes added."""
    return dreaming.reflect_on(current_lab(), plan.night)


@step("close", retries=2)
def close(plan: Plan, stopped: str) -> NightReport:
    """Tidy memory, account for the night, log it and write its manifest."""
    return dreaming.close_night(current_lab(), plan, stopped=stopped)


@step("gather")
def gather(min_examples: int | None, seed: int, force: bool) -> Training:
    """The dataset and plan of a training, kept on disk; or why there is none."""
    return learning.gather(current_lab(), min_examples=min_examples, seed=seed, force=force)


@step("train", retries=1)
def train(training: Training) -> None:
    """Train the adapter, resuming from its last checkpoint."""
    learning.train(current_lab(), training)


@step("evaluate", retries=1)
def evaluate(training: Training) -> None:
    """Score challenger, champion, their teams and plain retrieval on the benchmark."""
    learning.evaluate(current_lab(), training)


@step("decide")
def decide(training: Training) -> Verdict:
    """The gate's verdict on the challenger."""
    return learning.decide(current_lab(), training)


@step("conclude", retries=2)
def conclude(training: Training, verdict: Verdict) -> TrainingReport:
    """Register the challenger or record its rejection."""
    return learning.conclude(current_lab(), training, verdict)


@step("answer")
def answer(question: str) -> Experience:
    """The team's answer to one question."""
    return current_lab().solve(question)
