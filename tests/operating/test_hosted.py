"""A host application beside deployments on a real Prefect server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dreamlab.errors import UnderWay
from dreamlab.integration import DreamScheduler, init_dream_lab
from dreamlab.orchestration import sessions
from tests.operating.conftest import Operated, wait_for


@pytest.fixture
def hosted(operated: Operated) -> Iterator[DreamScheduler]:
    _, scheduler = init_dream_lab()
    yield scheduler
    scheduler.close()
    sessions.set_schedule(operated.lab.settings, active=True)


def paused(operated: Operated) -> set[bool]:
    with operated.client() as client:
        return {d.paused for d in client.read_deployments()}


def test_the_deployments_keep_the_schedule_of_a_host(
    operated: Operated, hosted: DreamScheduler
) -> None:
    sessions.set_schedule(operated.lab.settings, active=False)
    hosted.keep_schedule()
    wait_for(lambda: hosted.scheduled == "deployed", 90)
    assert paused(operated) == {True}, "what an operator turned off stays off"
    hosted.close()
    hosted.start_scheduled_dreaming()
    wait_for(lambda: paused(operated) == {False}, 90)
    wait_for(lambda: hosted.scheduled == "deployed", 30)
    hosted.stop_scheduled_dreaming()
    assert paused(operated) == {True}
    assert hosted.scheduled == "off"


def test_a_session_that_a_host_triggers_is_a_flow_run_and_alone(
    operated: Operated, hosted: DreamScheduler
) -> None:
    started = hosted.trigger_dream_session(force=True, again=True, count=12)
    assert started.url == f"{operated.server.url}/runs/flow-run/{started.run_id}"
    with pytest.raises(UnderWay):
        hosted.trigger_dream_session(force=True)
    run = operated.ended(started.run_id)
    assert run.state.name == "Completed", run.state.message
    assert run.parameters["count"] == 12
