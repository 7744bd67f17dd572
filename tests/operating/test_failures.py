"""Nights that go wrong, on a real server with a real worker: nothing lost, nothing doubled.

The long ones are marked `slow`: `pytest -m slow tests/operating`.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest
from pydantic import SecretStr

from dreamlab.orchestration import automations, dreaming, janitor, learning, services
from dreamlab.records import NightReport
from tests.operating.conftest import Operated, wait_for

DREAMS = 36
FIRST = datetime(2027, 2, 1, 9, tzinfo=UTC)  # 01:00 in Los Angeles, of the night of January 31
_nights = iter(range(100))


@pytest.fixture
def night(operated: Operated) -> str:
    """A night of its own for each test; its key."""
    moment = FIRST + timedelta(days=next(_nights))
    operated.at(moment)
    return dreaming.window_of(operated.lab).night(moment)


@pytest.fixture(scope="module", autouse=True)
def no_training_by_itself(operated: Operated) -> Iterator[None]:
    """Trainings only where a test asks for one."""
    with operated.client() as client:
        (found,) = client.read_automations_by_name("enough examples to train on")
        client.pause_automation(found.id)
        yield
        client.resume_automation(found.id)


def dreamt(operated: Operated, night: str) -> int:
    return len(operated.lab.memory.experiences(night=night))


def some_dreams(operated: Operated, night: str) -> Callable[[], int]:
    return lambda: dreamt(operated, night)


def whole(operated: Operated, night: str) -> NightReport:
    """The manifest of a night that is dreamt to the end, checked against memory."""
    report = wait_for(lambda: dreaming.manifest(operated.lab, night), 180, f"manifest of {night}")
    ids = [e.task.id for e in operated.lab.memory.experiences(night=night)]
    assert len(ids) == len(set(ids)) == report.planned == report.solved == DREAMS
    notes = [n.id for n in operated.lab.memory.reflections(night=night)]
    assert len(notes) == len(set(notes)) == report.reflections + report.insights
    return report


def resumed(operated: Operated) -> list[str]:
    """What the janitor says until it has started something again, without its pause."""
    from prefect.states import Scheduled

    def found() -> list[str]:
        return janitor.sweep(operated.lab.settings)

    said = wait_for(found, 60, "the janitor to find the killed run")
    with operated.client() as client:
        for run in client.read_flow_runs(limit=200):
            if "resumed-1" in run.tags and run.state.is_scheduled():
                client.set_flow_run_state(run.id, Scheduled(), force=True)
    return said


@pytest.mark.slow
def test_a_machine_rebooted_in_mid_training_trains_on_from_its_checkpoint(
    operated: Operated, night: str
) -> None:
    """The first of these tests: a training grows with the nights before it."""
    operated.ended(operated.trigger("dream-session", count=DREAMS))
    whole(operated, night)
    folder = operated.lab.settings.training_data_path / night
    operated.trigger("finetune-base-model")
    wait_for(lambda: list(folder.glob(".adapter.training/checkpoint-*")), 240, "a checkpoint")
    for name in ("worker", "prefect"):
        operated.kill(name)
    assert not (folder / learning.REPORT).exists()
    operated.server.start()
    assert any("started again" in line for line in resumed(operated))
    operated.start_worker()
    wait_for((folder / learning.REPORT).exists, 300, "the report of the training")
    reports = [r for r in learning.reports(operated.lab) if r.training.key == night]
    assert len(reports) == 1
    versions = [v for v in operated.lab.registry.versions() if v.key == night]
    assert len(versions) == bool(reports[0].version)


@pytest.mark.slow
def test_a_killed_flow_is_found_and_its_night_goes_on(operated: Operated, night: str) -> None:
    run = operated.trigger("dream-session", count=DREAMS)
    wait_for(some_dreams(operated, night), 120)
    operated.process_of(run).kill()
    assert any("started again" in line for line in resumed(operated))
    assert operated.run(run).state.type.value == "CRASHED"
    whole(operated, night)
    assert janitor.sweep(operated.lab.settings) == []


def test_a_killed_worker_takes_its_run_along_and_leaves_none_running(
    operated: Operated, night: str
) -> None:
    run = operated.trigger("dream-session", count=DREAMS)
    wait_for(some_dreams(operated, night), 120)
    process = operated.process_of(run)
    operated.kill("worker", alone=True)
    assert psutil.wait_procs([process], 30)[0], "it ends by itself"
    assert operated.run(run).state.name == "Running"  # nobody told the server
    said = resumed(operated)
    assert "marked as crashed" in said[0]
    assert operated.run(run).state.type.value == "CRASHED"
    operated.start_worker()
    whole(operated, night)


@pytest.mark.slow
def test_a_night_outlives_a_restart_of_the_server(operated: Operated, night: str) -> None:
    run = operated.trigger("dream-session", count=DREAMS)
    wait_for(some_dreams(operated, night), 120)
    operated.kill("prefect")
    operated.server.start()
    whole(operated, night)
    state = operated.ended(run, 240).state
    assert state.type.value in {"COMPLETED", "CRASHED"}, state
    if services.find(operated.home, "worker") is None:
        operated.start_worker()


def test_a_cancelled_night_stops_and_the_next_run_finishes_it(
    operated: Operated, night: str
) -> None:
    from prefect.states import Cancelling

    run = operated.trigger("dream-session", count=DREAMS)
    wait_for(some_dreams(operated, night), 120)
    with operated.client() as client:
        client.set_flow_run_state(run, Cancelling())  # what the button in the UI does
    assert operated.ended(run).state.type.value == "CANCELLED"
    assert dreaming.manifest(operated.lab, night) is None
    assert janitor.sweep(operated.lab.settings) == []  # what a person stopped stays stopped
    operated.ended(operated.trigger("dream-session"))
    whole(operated, night)


@contextlib.contextmanager
def disk_away(operated: Operated) -> Iterator[None]:
    """Nights can be neither read nor written inside the block."""
    nights = operated.lab.settings.nights_path
    aside = nights.with_name("nights-away")
    nights.mkdir(exist_ok=True)
    nights.rename(aside)
    nights.write_text("a file where the folder should be")
    try:
        yield
    finally:
        nights.unlink()
        aside.rename(nights)


@pytest.mark.slow
def test_a_disk_that_is_away_for_a_while_is_waited_for(operated: Operated, night: str) -> None:
    with disk_away(operated):
        run = operated.trigger("dream-session", count=DREAMS)
        wait_for(lambda: task_states(operated, run, "plan") & {"AwaitingRetry", "Retrying"}, 120)
    assert operated.ended(run, 240).state.name == "Completed"
    whole(operated, night)


@pytest.mark.slow
def test_retries_back_off_and_stop(operated: Operated, night: str) -> None:
    with disk_away(operated):
        run = operated.ended(operated.trigger("dream-session", count=DREAMS), 300)
    assert run.state.type.value == "FAILED"
    assert "DREAMLAB_HOME" in run.state.message
    assert janitor.sweep(operated.lab.settings) == []
    operated.ended(operated.trigger("dream-session", count=DREAMS))
    whole(operated, night)


@contextlib.contextmanager
def alerts(operated: Operated, **spans: timedelta) -> Iterator[list[str]]:
    """What the alerts say that reach an address of ours inside the block."""
    told: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((services.LOOPBACK, 0), Listener) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        url = f"http://{services.LOOPBACK}:{listener.server_port}/alert"
        alerting = operated.lab.settings.model_copy(update={"alert_url": SecretStr(url)})
        with operated.client() as client:
            automations.ensure(client, alerting, **spans)
        try:
            yield told
        finally:
            with operated.client() as client:
                automations.ensure(client, operated.lab.settings)
            listener.shutdown()


def test_an_empty_night_raises_an_alert_that_names_the_gate(operated: Operated, night: str) -> None:
    with alerts(operated) as told:
        run = operated.ended(operated.trigger("dream-session", need="fod"))
        assert (run.state.name, run.state.type.value) == ("EmptyNight", "FAILED")
        wait_for(lambda: told, 60, "the alert")
    assert "empty night" in told[0]
    assert "fod" in told[0]
    assert "food" in told[0]  # the remedy


@pytest.mark.slow
def test_an_alert_is_raised_when_no_night_came_for_a_while(operated: Operated, night: str) -> None:
    span = timedelta(seconds=60)
    with alerts(operated, nightless=span) as told:
        operated.ended(operated.trigger("dream-session", count=12))
        dreamt_at = time.monotonic()
        assert dreaming.manifest(operated.lab, night)
        operated.at(FIRST + timedelta(hours=12))
        assert operated.ended(operated.trigger("dream-session")).state.name == "Skipped"
        wait_for(lambda: told, 120, "the alert")
        silence = time.monotonic() - dreamt_at
    assert "no night: No night was dreamt in 60 seconds; `dreamlab doctor`" in told[0]
    assert span.total_seconds() - 5 < silence < span.total_seconds() + 30


@pytest.mark.slow
def test_a_run_without_a_heartbeat_is_crashed_by_the_server_itself(
    operated: Operated, night: str
) -> None:
    run = operated.trigger("dream-session", count=DREAMS)
    wait_for(some_dreams(operated, night), 120)
    operated.kill("worker")
    (operated.home / "runs" / f"{run}.json").unlink()  # as if on another machine
    wait_for(lambda: operated.run(run).state.type.value == "CRASHED", 240, "the automation")
    assert "No heartbeat" in operated.run(run).state.message
    operated.start_worker()
    operated.ended(operated.trigger("dream-session"), 240)
    whole(operated, night)


@pytest.mark.slow
def test_an_mlflow_server_that_is_away_for_a_while_is_waited_for(
    operated: Operated, night: str
) -> None:
    from dreamlab.orchestration import operating

    mlflow = operating.mlflow_server(operated.lab.settings)
    operated.kill("worker")
    remote = {**operated.env, "DREAMLAB_TRACKING_URI": mlflow.url, "DREAMLAB_RETRY_SECONDS": "8"}
    operating.worker(operated.lab.settings, remote).start()
    try:
        mlflow.start()
        run = operated.trigger("dream-session", count=DREAMS)
        wait_for(some_dreams(operated, night), 120)
        operated.kill("mlflow")
        wait_for(lambda: task_states(operated, run, "close") & {"AwaitingRetry"}, 240)
        mlflow.start()
        assert operated.ended(run, 300).state.name == "Completed"
        whole(operated, night)
    finally:
        mlflow.stop()
        operated.kill("worker")
        operated.start_worker()


def task_states(operated: Operated, run_id: str, name: str) -> set[str]:
    """Names of the states that the task runs of this name are in."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with contextlib.suppress(Exception), operated.client() as client:
        found = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        )
        return {t.state.name for t in found if t.name.startswith(name)}
    return set()
