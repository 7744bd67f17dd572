"""The Prefect door: the steps of the flows as tasks, and how a flow is run from here.

A task is a name, retries and a timeout around one step of `dreaming` or `learning`. It carries
records, never clients: each process opens one lab. Inside a Prefect flow run a step is a task run;
called where no flow run is active (no server is configured) it is the plain function. A step asks
the window before it starts, and before it is tried again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

from dreamlab.errors import (
    Drained,
    DreamLabError,
    NothingToDo,
    QuestionError,
    RegistryError,
    SchedulerError,
    StorageError,
)
from dreamlab.lab import Lab, open_lab
from dreamlab.orchestration import (
    answering,
    dreaming,
    learning,
    queue,
    report,
    runs,
    scheduler,
)
from dreamlab.orchestration.automations import NIGHT_KNOWN
from dreamlab.orchestration.budget import Budget
from dreamlab.orchestration.runners import task_runner
from dreamlab.orchestration.runs import say
from dreamlab.records import (
    Experience,
    NightReport,
    Plan,
    Task,
    Training,
    TrainingReport,
    Verdict,
)
from dreamlab.settings import Settings

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


def step(name: str, *, retried: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a Prefect task wherever a flow run is active.

    Args:
        name: the task's name in the UI.
        retried: try again after an outage or an unexpected error, with exponential back-off.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @cache
        def task() -> Any:
            from prefect import task as prefect_task
            from prefect.tasks import exponential_backoff

            return prefect_task(
                name=name,
                retries=RETRIES if retried else 0,
                retry_delay_seconds=exponential_backoff(current_lab().settings.retry_seconds),
                retry_jitter_factor=0.5,
                retry_condition_fn=worth_retrying,
                persist_result=False,
                result_serializer="json",  # never pickle
            )(function)

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            return task()(*args, **kwargs) if runs.active() else function(*args, **kwargs)

        run.task = task  # type: ignore[attr-defined]  # for a task runner
        return run

    return decorate


RETRIES = 5


def worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Whether a failed step may succeed later: an outage does, a refusal says the same again."""
    try:
        state.result()
    except StorageError:
        return True
    except RegistryError as error:
        return error.__cause__ is not None  # MLflow failed; without a cause it is our own refusal
    except DreamLabError:
        return False
    except Exception:
        return True
    return False


def run_flow(flow: Any, **parameters: Any) -> Any:
    """Run a flow in this process: as a flow run where a Prefect API is configured, else plainly.

    Plainly means without a server: Prefect's temporary one takes seconds to start and outlives a
    killed parent.

    Raises:
        DreamLabError: what the plain function raises, or the Prefect API cannot be reached.
    """
    if not scheduler.configured_api():
        return flow.fn(**parameters)
    try:
        state = flow(**parameters, return_state=True)
    except RuntimeError as error:
        if "Failed to reach API" not in str(error):
            raise
        raise SchedulerError(
            "the Prefect server cannot be reached; start it, or unset PREFECT_API_URL to run "
            f"without one ({error})"
        ) from None
    return runs.outcome(state)


def keep_to(budget: Budget) -> None:
    """Stop here if the window has closed.

    Raises:
        Drained: it has; what was done is kept.
    """
    if budget.closes_at and current_lab().now() >= budget.closes_at:
        raise Drained("window_closed: stopped at closing time; the next night goes on from here")


@step("open session", retried=False)
def open_session(force: bool) -> Budget:
    """What this session may spend; raises WindowClosed outside the window unless forced."""
    lab = current_lab()
    lab.check_home()
    budget = dreaming.open_session(lab, force=force)
    bound = f"until {budget.closes_at:%H:%M} UTC" if budget.closes_at else "without a closing time"
    say(f"The session is open {bound}{', forced' if force else ''}.")
    return budget


@step("first version")
def first_version(budget: Budget) -> None:
    """Make sure that the untouched base model is registered as version 1, with its score."""
    keep_to(budget)
    learning.ensure_first_version(current_lab())


@step("plan")
def plan(
    budget: Budget,
    count: int | None,
    strategy: str | None,
    need: str,
    group: str,
    seed: int | None,
    again: bool,
    force: bool,
) -> Plan:
    """The plan of the night to dream, kept on disk."""
    keep_to(budget)
    lab = current_lab()
    try:
        made = dreaming.plan_night(
            lab,
            count=count,
            strategy=strategy,
            need=need,
            group=group,
            seed=seed,
            again=again,
            force=force,
        )
    except NothingToDo as dreamt:
        runs.announce(lab, NIGHT_KNOWN, {"reason": str(dreamt)})
        raise
    left = len(dreaming.pending_tasks(lab, made))
    runs.describe(f"night {made.night}", [made.night, *(["forced"] if force else [])])
    say(
        f"Night {made.night}: {len(made.tasks)} dreams by strategy {made.strategy}, {left} of them "
        f"still to be solved, with base model version {made.version or 'none'}."
    )
    return made


def batches(plan: Plan) -> Iterator[tuple[Task, ...]]:
    """The plan's unsolved tasks in batches of one step each, with progress."""
    return dreaming.batches(current_lab(), plan)


def spent(budget: Budget) -> str:
    """The reason code of the bound that stops the session now, empty while none does."""
    lab = current_lab()
    return budget.spent(lab.now()) or dreaming.models_exhausted(lab)


@step("solve")
def solve(budget: Budget, plan: Plan, batch: Sequence[Task]) -> int:
    """Solve, check and remember a batch; returns the rows added."""
    keep_to(budget)
    added = dreaming.solve_dreams(current_lab(), plan, batch)
    say(f"Solved, checked and remembered {added} dreams.")
    return added


def solve_all(budget: Budget, plan: Plan) -> str:
    """Solve what is open of a plan; returns the reason code of the bound that stopped it, if any.

    In a flow run as many batches are under way at once as the setting `batches_at_once` says, on
    the task runner of the setting `task_runner`; their order and their hosts change nothing.
    """
    settings = current_lab().settings
    if settings.batches_at_once == 1 or not runs.active():
        for batch in batches(plan):
            if stopped := spent(budget):
                return stopped
            solve(budget, plan, batch)
        return ""
    return _fan_out(budget, plan, settings)


def _fan_out(budget: Budget, plan: Plan, settings: Settings) -> str:
    from prefect.futures import PrefectFuture

    stopped, under_way = "", deque[PrefectFuture[int]]()
    if settings.task_runner == "threads":
        current_lab().night_team(plan.version, plan.night)  # loaded once, before any thread
    with task_runner(settings) as runner:
        for batch in batches(plan):
            if len(under_way) == settings.batches_at_once:
                under_way.popleft().result()
            if stopped := spent(budget):
                break
            step_task = solve.task()  # type: ignore[attr-defined]
            given = {"budget": budget, "plan": plan, "batch": batch}
            under_way.append(runner.submit(step_task, parameters=given))
        for future in under_way:
            future.result()
    return stopped


@step("reflect")
def reflect(plan: Plan) -> int:
    """Write down what the night teaches; returns the notes added."""
    notes = dreaming.reflect_on(current_lab(), plan.night)
    say(f"Wrote down {notes} reflections and insights.")
    return notes


@step("close")
def close(plan: Plan, stopped: str) -> NightReport:
    """Tidy memory, account for the night, log it and write its manifest."""
    lab = current_lab()
    night = dreaming.close_night(lab, plan, stopped=stopped)
    page = report.dreams_markdown(night) + report.links(lab.settings, night.run_id)
    runs.report("night-report", page, f"Night {night.night}")
    fresh = learning.fresh_examples(lab)
    facts = {"night": night.night, "examples": fresh}
    runs.announce(lab, NIGHT_KNOWN, facts)
    if night.complete and fresh >= lab.settings.min_examples_for_training:
        runs.announce(lab, EXAMPLES_READY, facts)
        say(f"{fresh} verified examples wait: a training is asked for.")
    return night


EXAMPLES_READY = "dreamlab.examples.ready"
"""Event that starts a training: prefect.yaml expects it."""


@step("gather")
def gather(budget: Budget, min_examples: int | None, seed: int, force: bool) -> Training:
    """The dataset and plan of a training, kept on disk; or why there is none."""
    keep_to(budget)
    made = learning.gather(current_lab(), min_examples=min_examples, seed=seed, force=force)
    if not made.skipped:
        runs.describe(f"training {made.key}", [made.key, *(["forced"] if force else [])])
        say(
            f"Training {made.key} goes on from version {made.parent} with {made.new} new examples, "
            f"{made.replayed} replayed; dataset {made.dataset[:12]}."
        )
    return made


@step("train")
def train(budget: Budget, training: Training) -> None:
    """Train the adapter, resuming from its last checkpoint."""
    keep_to(budget)
    learning.train(current_lab(), training, lambda: keep_to(budget))


@step("evaluate")
def evaluate(budget: Budget, training: Training) -> None:
    """Score challenger, champion, their teams and plain retrieval on the benchmark."""
    keep_to(budget)
    learning.evaluate(current_lab(), training, lambda: keep_to(budget))


@step("decide")
def decide(training: Training) -> Verdict:
    """The gate's verdict on the challenger."""
    verdict = learning.decide(current_lab(), training)
    say(f"The gate {'lets it pass' if verdict.passed else 'rejects it'}: {verdict.reasons[0]}.")
    return verdict


@step("conclude")
def conclude(training: Training, verdict: Verdict) -> TrainingReport:
    """Register the challenger or record its rejection."""
    lab = current_lab()
    concluded = learning.conclude(lab, training, verdict)
    model = lab.registry.name if concluded.version else ""
    dreams = dreaming.last_manifest(lab)
    page = (
        (report.dreams_markdown(dreams) + "\n" if dreams else "")
        + report.training_markdown(concluded)
        + report.links(lab.settings, concluded.run_id, model, concluded.version)
    )
    runs.report("night-report", page, f"Training {training.key}")
    return concluded


@step("answer")
def answer(question: str) -> Experience:
    """The team's answer to one question."""
    lab = current_lab()
    experience = answering.ask(lab.settings, question) or lab.solve(question)
    text = experience.answers[0].text
    runs.describe(report.understood(experience.answers[0].referral))
    runs.report("answer", text, "The team's answer")
    runs.announce(lab, "dreamlab.answered", {"answer": text}, text)
    return experience


def waiting() -> list[queue.Deferred]:
    """The tasks deferred to the night that wait for an answer.

    Raises:
        NothingToDo: none does.
    """
    tasks = queue.waiting(current_lab())
    if not tasks:
        raise NothingToDo("queue_empty: no task is deferred to the night")
    return tasks


@step("answer a deferred task")
def answer_deferred(budget: Budget, task: queue.Deferred) -> None:
    """Answer one task of the queue and keep the answer, or why it cannot be asked."""
    keep_to(budget)
    lab = current_lab()
    try:
        solved = answering.ask(lab.settings, task.question) or lab.solve(task.question)
        queue.keep(lab, task, solved.answers[0].text)
    except QuestionError as error:
        queue.keep(lab, task, str(error))


def worked_off(answered: int, stopped: str) -> queue.WorkedOff:
    """What this run did about the queue."""
    return queue.WorkedOff(answered, len(queue.waiting(current_lab())), stopped)
