"""Dreams asked for from outside: one at a time, and on the installation's schedule."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from dreamlab.errors import StorageError, UnderWay
from dreamlab.orchestration import scheduler, services, sessions
from dreamlab.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    settings = Settings(home=tmp_path / "home")
    yield settings
    if started := services.find(settings.home, sessions.DREAMS):
        psutil.Process(started.pid).kill()


def test_of_many_who_ask_at_once_one_starts_a_session(settings: Settings) -> None:
    def ask(_: int) -> str:
        try:
            return sessions.trigger(settings, {"force": True, "count": 1}).run_id
        except UnderWay:
            return ""

    with ThreadPoolExecutor(8) as threads:
        started = [run for run in threads.map(ask, range(8)) if run]
    assert len(started) == 1
    running = services.find(settings.home, sessions.DREAMS)
    assert running
    command = psutil.Process(running.pid).cmdline()
    assert command[-3:] == ["--json", "--force", "--count=1"]
    assert sessions.dreaming_here(settings)


def test_a_session_that_was_killed_is_not_under_way(settings: Settings) -> None:
    sessions.trigger(settings, {"force": True})
    running = services.find(settings.home, sessions.DREAMS)
    assert running
    psutil.Process(running.pid).kill()
    deadline = time.monotonic() + 10
    while sessions.dreaming_here(settings):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_dream_at_a_terminal_counts(settings: Settings) -> None:
    locks = settings.home / "locks"
    locks.mkdir(parents=True)
    with FileLock(locks / "dreaming.lock"), pytest.raises(UnderWay):
        sessions.trigger(settings, {})
    assert not sessions.dreaming_here(settings)


def test_asking_whether_one_dreams_writes_nothing(settings: Settings) -> None:
    assert not sessions.dreaming_here(settings)
    assert not settings.home.exists()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="DREAMLAB_HOME"):
        sessions.trigger(Settings(home=tmp_path / "file"), {})


def test_the_schedule_follows_the_setting(tmp_path: Path) -> None:
    listed = {d.name: d.crons for d in scheduler.deployments()}
    assert listed[sessions.DREAMS] == (scheduler.LISTED_DREAMS,)
    ours = Settings(home=tmp_path, dream_time="23:05", time_zone="Europe/Paris")
    kept = {d.name: d.crons for d in scheduler.deployments(ours)}
    assert kept == {**listed, sessions.DREAMS: ("5 23 * * *",)}
    assert scheduler.LISTED_ZONE not in scheduler.localized(ours)
