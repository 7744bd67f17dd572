"""Serving without a Prefect server of the operator's: the same flows, in a home of its own."""

from pathlib import Path

import pytest

from dreamlab.errors import SchedulerError
from dreamlab.orchestration import scheduler, services
from dreamlab.settings import Settings
from tests.operating.conftest import wait_for

pytestmark = pytest.mark.slow


def test_a_process_serves_the_same_deployments_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("DREAMLAB_HOME", str(tmp_path))
    settings = Settings(home=tmp_path)
    serving = scheduler.Serving(settings)
    serving.start()
    try:
        with pytest.raises(SchedulerError, match="served already"):
            scheduler.Serving(settings).start()
        question = {"task": "Where is a food pantry in Delano?"}
        run = scheduler.trigger("solve-task", question, settings=settings)
        with scheduler.api(settings) as client:
            done = wait_for(
                lambda: (r := client.read_flow_run(run.run_id)).state.is_final() and r, 180
            )
            assert done.state.name == "Completed"
            assert "Phone" in done.state.message
            planned = wait_for(
                lambda: {r.deployment_id for r in client.read_flow_runs() if r.auto_scheduled}, 60
            )
            assert planned <= {d.id for d in client.read_deployments()}
        assert run.url.endswith(run.run_id)
    finally:
        serving.stop()
    assert services.running(tmp_path) == {}
    with pytest.raises(SchedulerError, match="dreamlab up"):
        scheduler.trigger("solve-task", question, settings=settings)
