"""The same night on threads, on a Dask and on a Ray cluster: same keys, same results."""

import importlib.util
from pathlib import Path

import pytest

from dreamlab.errors import SettingsError
from dreamlab.orchestration import learning, tasks
from flows.dream_session import dream_session
from tests.operating.conftest import Operated
from tests.operating.small import open_small, set_clock

pytestmark = pytest.mark.slow


def night(home: Path, monkeypatch: pytest.MonkeyPatch, **settings: object) -> list[object]:
    """What a forced night of 36 dreams remembers, by key."""
    from datetime import UTC, datetime

    home.mkdir()
    set_clock(home, datetime(2027, 3, 1, 9, tzinfo=UTC))
    monkeypatch.setenv("DREAMLAB_HOME", str(home))  # the workers of a cluster open it themselves
    lab = open_small(home=home, **settings)
    learning.ensure_first_version(lab)
    tasks.use_lab(lab)
    report = tasks.run_flow(dream_session, count=36, seed=5, force=True)
    assert report.complete
    found = [
        (e.id, e.verified, e.answers[0].referral.service_ids) for e in lab.memory.experiences()
    ]
    return sorted(found)


@pytest.mark.parametrize("runner", ["threads", "dask", "ray"])
def test_a_night_is_the_same_on_any_task_runner(
    operated: Operated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: str
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if runner != "threads":
        pytest.importorskip(f"prefect_{runner}")
    plain = night(tmp_path / "plain", monkeypatch)
    with temporary_settings({PREFECT_API_URL: operated.api}):
        spread = night(tmp_path / runner, monkeypatch, task_runner=runner, batches_at_once=2)
    assert len(spread) == 36
    assert spread == plain


def test_a_missing_extra_is_named(
    operated: Operated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if importlib.util.find_spec("prefect_ray"):
        pytest.skip("prefect-ray is installed")
    with (
        temporary_settings({PREFECT_API_URL: operated.api}),
        pytest.raises(SettingsError, match=r"dreamlab\[ray\]"),
    ):
        night(tmp_path / "ray", monkeypatch, task_runner="ray", batches_at_once=2)
