"""Nights lived in one go, on a small lab: what an arm changes, and that a course goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dreamlab.cli.nights import flow_of, live_plainly
from dreamlab.errors import SettingsError, StorageError
from dreamlab.lab import Lab
from dreamlab.orchestration import experiments, tasks
from dreamlab.records import NightReport, TrainingReport
from dreamlab.settings import Settings
from dreamlab.training.benchmark import Benchmark

SMALL = {
    "dream_task_count": 12,
    "training_tokens": 1500,
    "training_epochs": 1000,
    "min_examples_for_training": 4,
}


def small_night(lab: Lab, seed: int) -> tuple[NightReport, TrainingReport]:
    whole = lab.benchmark
    if len(whole.questions) > 60:
        lab.__dict__["benchmark"] = Benchmark(whole.questions[::24], whole.hash)
    return live_plainly(lab, seed)


@pytest.fixture
def home(tmp_path: Path, cache: Path) -> Path:
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "cache").symlink_to(cache)
    return tmp_path


def killed_after_its_dreams(lab: Lab, seed: int) -> tuple[NightReport, TrainingReport]:
    tasks.use_lab(lab)
    flow_of("dream_session").fn(seed=seed)
    raise KeyboardInterrupt


def live(
    home: Path, arm: str, count: int, night: experiments.Night = small_night, **given: object
) -> experiments.Course:
    settings = Settings(home=home / "lab", **{**SMALL, **given})
    return experiments.live(settings, arm, count, 1, home / "course", night)


def test_a_course_without_a_gate_goes_on_where_it_was_and_nothing_touches_the_lab(
    home: Path,
) -> None:
    arm = "no-gate+no-check+errs-30+no-replay"
    first = live(home, arm, 1)
    assert [night.passed for night in first.nights] == [True]
    assert first.nights[0].verified == first.nights[0].dreams
    assert first.nights[0].wrong > 0
    assert set(first.team) == set(first.team_f1) == {"", "1", "2"}
    with pytest.raises(KeyboardInterrupt):
        live(home, arm, 2, killed_after_its_dreams)
    both = live(home, arm, 2)
    assert both.nights[0] == first.nights[0]
    assert both.nights[1].reasons[0] == "ungated"
    assert both.nights[1].version == "3"
    assert both.nights[1].replayed == 0
    assert both.nights[1].tokens < 3 * SMALL["training_tokens"]
    assert live(home, arm, 2) == both
    assert not (home / "lab").exists()
    with pytest.raises(SettingsError, match="another arm, seed, directory"):
        live(home, "aimed", 2)
    with pytest.raises(SettingsError, match="another arm, seed, directory"):
        live(home, arm, 2, learning_rate=0.5)
    (home / "course" / experiments.COURSE).write_text("{")
    with pytest.raises(StorageError, match="damaged"):
        live(home, arm, 2)


@pytest.mark.slow
def test_without_dreams_what_people_ask_is_learnt_unchecked_and_from_scratch(home: Path) -> None:
    course = live(home, "no-dreams+replace+no-gate", 1)
    assert [night.version for night in course.nights] == ["2"]
    assert course.nights[0].verified == course.nights[0].dreams
    assert 0 < course.nights[0].new <= course.nights[0].dreams


def test_the_table_has_a_row_for_each_night(home: Path) -> None:
    night = experiments.Lived(
        *("n1", "2", True, ("better",), 12, 9, 3, 9, 0, 100, 0.5, 1.0, 2.0),
        {"generated/report/f1": 0.5},
        "01",
        (0, 100),
    )
    course = experiments.Course("aimed", 1, "b", "d", {}, (night, replace(night, passed=False)))
    rows = experiments.table(course)
    assert [row[2] for row in rows] == ["passed", "better"]
    assert rows[0][-3:] == ["0.50", "-", "-"]
