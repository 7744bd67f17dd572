"""The same night on threads, on a Dask and on a Ray cluster: same keys, same results."""

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from dreamlab.errors import SettingsError
from dreamlab.orchestration import learning, tasks
from flows.dream_session import dream_session
from tests.operating.conftest import Operated
from tests.operating.small import open_small, set_clock

pytestmark = pytest.mark.slow
LOCAL = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


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

    if runner != "threads" and not importlib.util.find_spec(f"prefect_{runner}"):
        pytest.skip(f"prefect-{runner} is not installed")
    plain = night(tmp_path / "plain", monkeypatch)
    with temporary_settings({PREFECT_API_URL: operated.api}), watched_ports() as ports:
        spread = night(tmp_path / runner, monkeypatch, task_runner=runner, batches_at_once=2)
    assert len(spread) == 36
    assert spread == plain
    if runner != "threads":
        assert ports, "a cluster listens"
    assert {address for address, _ in ports} <= LOCAL, ports


@contextmanager
def watched_ports() -> Iterator[set[tuple[str, str]]]:
    """Addresses, and whose, that this process and its children are seen to listen on meanwhile."""
    seen: set[tuple[str, str]] = set()
    over = threading.Event()

    def watch() -> None:
        me = psutil.Process()
        while not over.wait(0.5):
            for process in [me, *me.children(recursive=True)]:
                with suppress(psutil.Error):
                    for c in process.net_connections("inet"):
                        if c.status == psutil.CONN_LISTEN:
                            seen.add((c.laddr.ip, process.name()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


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
