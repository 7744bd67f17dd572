"""The deployed lab on a real server with a real worker: what an operator sees of good nights."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dreamlab.errors import SchedulerError
from dreamlab.orchestration import dreaming, janitor, queue
from dreamlab.orchestration.window import Window
from tests.operating.conftest import Operated, wait_for

NIGHT = datetime(2027, 1, 5, 9, tzinfo=UTC)  # 01:00 in Los Angeles, of the night of the 4th
DAY = datetime(2027, 1, 5, 20, tzinfo=UTC)


def artifacts(operated: Operated, run_id: str) -> dict[str, str]:
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    with operated.client() as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        )
    return {a.key: str(a.data) for a in found}


def test_the_server_plans_runs_of_all_three_inside_downtime(operated: Operated) -> None:
    def planned() -> dict[str, list[datetime]]:
        with operated.client() as client:
            names = {d.id: d.name for d in client.read_deployments()}
            found: dict[str, list[datetime]] = {}
            for run in client.read_flow_runs(limit=200):
                if run.auto_scheduled:
                    found.setdefault(names[run.deployment_id], []).append(run.expected_start_time)
        return found if len(found) == 3 else {}

    window = Window(22, 6, ZoneInfo("America/Los_Angeles"))
    runs = wait_for(planned, 60, "scheduled runs of three deployments")
    assert all(window.contains(moment) for moments in runs.values() for moment in moments)


def test_prefects_own_command_gets_an_answer(operated: Operated) -> None:
    shown = operated.prefect(
        *("deployment", "run", "solve-task/solve-task", "--watch", "--param"),
        "task=Where can my dad get a hot meal in Delano? He is 70",
    )
    assert "661-" in shown
    assert "food for seniors in Delano" in shown or "food in Delano" in shown
    assert "'Completed'" in shown
    asked = [run.parameters for run in operated.runs_of("solve-task")]
    assert asked == [{"task": "(not kept)"}]


def test_the_question_of_a_run_that_never_started_is_taken_out_too(operated: Operated) -> None:
    from prefect.states import Cancelled, Scheduled

    later = datetime.now(UTC) + timedelta(days=300)
    with operated.client() as client:
        deployment = client.read_deployment_by_name("solve-task/solve-task")
        waiting, dropped = (
            client.create_flow_run_from_deployment(
                deployment.id,
                parameters={"task": "my secret"},
                state=Scheduled(scheduled_time=later),
            )
            for _ in range(2)
        )
        client.set_flow_run_state(dropped.id, Cancelled(), force=True)
        said = janitor.sweep(operated.lab.settings)
        assert said == ["questions taken out of the parameters of ended runs: 1"]
        assert operated.run(dropped.id).parameters == {"task": "(not kept)"}
        assert operated.run(waiting.id).parameters == {"task": "my secret"}
        client.delete_flow_run(waiting.id)
    assert janitor.sweep(operated.lab.settings) == []


def test_a_night_tells_what_it_did_and_is_not_dreamt_twice(operated: Operated) -> None:
    operated.at(NIGHT)
    run = operated.ended(operated.trigger("dream-session", count=24))
    report = dreaming.manifest(operated.lab, "2027-01-04-night")
    assert report is not None
    assert report.solved == 24
    assert run.state.name == "Completed"
    assert f"{report.verified} verified" in run.state.message
    assert run.name == "night 2027-01-04-night"
    assert {"dreamlab", "night", "2027-01-04-night"} <= set(run.tags)
    kept = artifacts(operated, run.id)
    assert "planned 24, solved 24" in kept["night-report"]
    assert float(kept["dreaming"]) == 100
    again = operated.ended(operated.trigger("dream-session"))
    assert (again.state.name, again.state.type.value) == ("Skipped", "COMPLETED")
    assert "already dreamt" in again.state.message


@pytest.mark.slow
def test_enough_examples_start_a_training_by_themselves(operated: Operated) -> None:
    def training() -> object:
        runs = operated.runs_of("finetune-base-model")
        return next((r for r in runs if r.state.is_final()), None)

    operated.at(NIGHT)
    if dreaming.manifest(operated.lab, "2027-01-04-night") is None:
        operated.ended(operated.trigger("dream-session", count=24))
    run = wait_for(training, 240, "a training that nobody started")
    assert run.state.name == "Completed", run.state.message
    assert run.name == "training 2027-01-04-night"
    assert "| dense retrieval |" in artifacts(operated, run.id)["night-report"]


def test_outside_the_window_a_run_is_skipped_with_the_reason(operated: Operated) -> None:
    operated.at(DAY)
    for name in ("dream-session", "finetune-base-model"):
        run = operated.ended(operated.trigger(name))
        assert run.state.name == "Skipped"
        assert "opens Tue 22:00" in run.state.message


def test_deferred_tasks_are_answered_at_night_and_not_by_day(operated: Operated) -> None:
    for question in ("Where is a food pantry in Delano?", "Who helps veterans find a home?"):
        queue.add(operated.lab, question)
    operated.at(DAY)
    run = operated.ended(operated.trigger("solve-task"))
    assert run.state.name == "Skipped"
    assert len(queue.waiting(operated.lab)) == 2
    operated.at(NIGHT + timedelta(days=1))
    run = operated.ended(operated.trigger("solve-task"))
    assert run.state.message == "2 deferred tasks answered, 0 wait"
    assert all("Phone" in task.answer for task in queue.answered(operated.lab))
    assert "queue_empty" in operated.ended(operated.trigger("solve-task")).state.message


@pytest.mark.parametrize(
    ("deployment", "parameters"),
    [
        ("dream-session", {"count": 0}),
        ("dream-session", {"strategy": "luck"}),
        ("finetune-base-model", {"min_examples": -1}),
        ("solve-task", {"task": "x" * 5000}),
        ("solve-task", {"question": "food"}),
    ],
)
def test_bad_parameters_are_refused_before_a_run_exists(
    operated: Operated, deployment: str, parameters: dict[str, object]
) -> None:
    with pytest.raises(SchedulerError, match="refuses"):
        operated.trigger(deployment, **parameters)


def test_a_run_that_starts_late_is_caught_up_only_if_none_newer_is_due(operated: Operated) -> None:
    """The server's own planned runs, run at a clock some hours after their time."""
    from prefect.states import Scheduled

    with operated.client() as client:
        (deployment,) = [d for d in client.read_deployments() if d.name == "solve-task"]
        planned = sorted(
            (
                r
                for r in client.read_flow_runs(limit=200)
                if r.deployment_id == deployment.id and r.auto_scheduled and r.state.is_scheduled()
            ),
            key=lambda r: r.expected_start_time,
        )
    first, last = planned[0], planned[2]
    operated.at(last.expected_start_time + timedelta(minutes=1))
    with operated.client() as client:
        for run in (first, last):
            client.set_flow_run_state(run.id, Scheduled(), force=True)
    assert "late_superseded: 31 min late" in operated.ended(str(first.id)).state.message
    assert "queue_empty" in operated.ended(str(last.id)).state.message


def test_no_process_of_a_run_is_left_noted(operated: Operated) -> None:
    wait_for(lambda: not list(Path(operated.home, "runs").glob("*.json")), 30)
