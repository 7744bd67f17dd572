"""A real lab on the real directory, small: few dreams, one epoch, a slice of the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dreamlab.lab import Lab
from dreamlab.orchestration import tasks
from dreamlab.settings import Settings
from dreamlab.training.benchmark import Benchmark

NIGHT = datetime(2026, 11, 23, 10, tzinfo=UTC)  # 02:00 in Los Angeles
DAY = datetime(2026, 11, 23, 20, tzinfo=UTC)

Opening = Callable[..., Lab]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of rows and phrases, made once for all homes of the session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def opening(cache: Path) -> Opening:
    def open_small(home: Path, now: datetime = NIGHT, **settings: object) -> Lab:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "cache").exists():
            (home / "cache").symlink_to(cache)
        small = {
            "dream_task_count": 16,
            "dream_strategy": "breadth",
            "training_epochs": 2,
            "min_examples_for_training": 4,
        }
        lab = Lab(Settings(home=home, **{**small, **settings}), lambda: now)
        whole = lab.benchmark
        lab.__dict__["benchmark"] = Benchmark(whole.questions[::24], whole.hash + "-slice")
        return lab

    return open_small


@pytest.fixture
def lab(tmp_path: Path, opening: Opening) -> Iterator[Lab]:
    small = opening(tmp_path / "home")
    tasks.use_lab(small)
    yield small
    tasks.use_lab(Lab(Settings(home=tmp_path / "none")))
