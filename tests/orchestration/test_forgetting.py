"""Forgetting a person, on a real memory and a real registry."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from dreamlab.cli import main
from dreamlab.errors import QuestionError, RecallError
from dreamlab.files import write_atomic
from dreamlab.lab import Lab
from dreamlab.memory.reflection import reflect
from dreamlab.orchestration import dreaming, forgetting, learning, queue
from dreamlab.orchestration.retention import expire_questions
from dreamlab.records import (
    Answer,
    Experience,
    Plan,
    Referral,
    Role,
    Task,
    TaskKind,
    Training,
    TrainingReport,
    from_json,
    to_json,
)
from dreamlab.settings import Settings
from dreamlab.training.examples import DATASET, LINEAGE, export
from dreamlab.training.registry import FINE_TUNING

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
ASKED = "2026-11-22-asked"
NIGHT = "2026-11-22-night"


def made(task: Task, days: float = 0) -> Experience:
    answer = Answer(Role.TEAM, Referral(("food",), service_ids=("kern-001",)))
    return Experience(task, (answer,), NOW - timedelta(days=days), True, 1.0)


HERS = made(Task("q1", "where does zqxjkvwombat find a warm meal, 661-555-0142", night=ASKED), 2)
OTHER = made(Task("q2", "who fixes a roof in Taft", night=ASKED), 100)
DREAM = made(
    Task(
        "t1",
        "where do seniors find a warm meal",
        TaskKind.REFERRAL,
        NIGHT,
        provenance=("needs.food.words_en.0", f"asked.{ASKED}/q1"),
    )
)
PLAIN = made(Task("t2", "food in Wasco", TaskKind.REFERRAL, NIGHT))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(Settings(home=tmp_path / "home"), lambda: NOW)
    lab.memory.append([HERS, OTHER, DREAM, PLAIN])
    lab.memory.append_reflections([reflect(e) for e in (HERS, DREAM, PLAIN)])
    plan = Plan(NIGHT, (DREAM.task, PLAIN.task), "breadth", 1, NOW)
    write_atomic(lab.settings.nights_path / NIGHT / dreaming.PLAN, to_json(plan))
    return lab


@pytest.fixture
def trained(lab: Lab) -> Lab:
    """Version 2 learnt from the dream, version 3 from version 2, version 4 from version 1."""
    adapter = lab.settings.home / "adapter"
    write_atomic(adapter / "adapter.safetensors", "weights")
    learnt = {"a": [DREAM, PLAIN], "b": [PLAIN], "c": [PLAIN]}
    lab.registry.register_untouched(lab.registry.start_run(FINE_TUNING, "untouched"))
    for (key, experiences), parent in zip(learnt.items(), (1, 2, 1), strict=True):
        folder = lab.settings.training_data_path / key
        rows = [{"prompt": e.task.question, "completion": "x"} for e in experiences]
        dataset = export(rows, folder, [e.id for e in experiences])
        run = lab.registry.start_run(FINE_TUNING, key, key=key)
        lab.registry.log_dataset(run, dataset)
        lab.registry.register(adapter, run, key, parent=parent)
        report = TrainingReport(Training(key), run_id=run)
        write_atomic(folder / learning.REPORT, to_json(report))
    return lab


def holding(home: Path, word: bytes) -> list[str]:
    files = [p for p in home.rglob("*") if p.is_file() and "cache" not in p.parts]
    return [str(p.relative_to(home)) for p in files if word in p.read_bytes()]


def test_the_traces_of_a_question_are_its_dreams_and_their_notes(lab: Lab) -> None:
    traces = forgetting.traces_of(lab, containing=["ZQXJKVWOMBAT"])
    assert traces.questions == (HERS,)
    assert traces.dreams == (DREAM,)
    assert {n.sources for n in traces.notes} == {(HERS.id,), (DREAM.id,)}
    assert str(traces) == "1 question, 1 dream worded like them, 2 notes"


@pytest.mark.parametrize("number", ["(661) 555-0142", "6615550142"])
def test_a_number_is_found_however_it_is_written(lab: Lab, number: str) -> None:
    assert forgetting.traces_of(lab, containing=[number]).questions == (HERS,)


def test_questions_are_found_by_id_and_by_age(lab: Lab) -> None:
    assert forgetting.traces_of(lab, ids=[OTHER.id]).questions == (OTHER,)
    old = forgetting.traces_of(lab, asked_before=NOW - timedelta(days=30))
    assert old.questions == (OTHER,)
    assert not forgetting.traces_of(lab, containing=["nobody of that name"])


def test_a_text_that_means_everybody_is_refused(lab: Lab) -> None:
    with pytest.raises(QuestionError, match="'a ' is too short"):
        forgetting.traces_of(lab, containing=["a "])
    with pytest.raises(RecallError, match="2026-01-01-asked/q9"):
        forgetting.traces_of(lab, ids=["2026-01-01-asked/q9"])


def test_what_is_forgotten_leaves_every_file_and_marks_what_learnt_from_it(trained: Lab) -> None:
    home = trained.settings.home
    dreamt = b"where do seniors find a warm meal"
    where = " ".join(holding(home, dreamt))
    for part in ("memory", "nights", "training", "mlflow"):
        assert part in where
    traces = forgetting.traces_of(trained, containing=["zqxjkvwombat"])
    assert traces.trainings == ("a",)
    assert traces.versions == (2, 3)
    assert forgetting.forget(trained, traces) == 4
    assert holding(home, dreamt) == []
    assert holding(home, b"zqxjkvwombat") == []
    assert trained.memory.experiences() == [OTHER, PLAIN]
    plan = from_json(Plan, (trained.settings.nights_path / NIGHT / dreaming.PLAN).read_bytes())
    assert plan.tasks == (PLAIN.task,)
    lineage = json.loads((trained.settings.training_data_path / "a" / LINEAGE).read_text())
    assert (lineage["experiences"], lineage["forgotten"]) == ([PLAIN.id], 1)
    assert "food in Wasco" in (trained.settings.training_data_path / "a" / DATASET).read_text()
    marks = {version.number: version.forgotten for version in trained.registry.versions()}
    assert marks == {1: "", 2: "2026-11-23", 3: "2026-11-23", 4: ""}


def test_forgetting_cut_off_half_way_is_finished_by_the_next(lab: Lab) -> None:
    folder = lab.settings.training_data_path / "a"
    rows = [{"prompt": e.task.question, "completion": "x"} for e in (DREAM, PLAIN)]
    export(rows, folder, [DREAM.id, PLAIN.id])
    lines = (folder / DATASET).read_text().splitlines()
    write_atomic(folder / DATASET, lines[1] + "\n")  # the rows were cut, their names not yet
    forgetting.forget(lab, forgetting.traces_of(lab, ids=[HERS.id]))
    assert (folder / DATASET).read_text().splitlines() == lines[1:]
    assert json.loads((folder / LINEAGE).read_text())["experiences"] == [PLAIN.id]
    assert holding(lab.settings.home, b"where do seniors find") == []


def test_the_command_asks_first_and_then_forgets(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMLAB_HOME", str(lab.settings.home))

    def run(*arguments: str, answer: str | None = None) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["-v", "memories", *arguments], input=answer)
        return result.exit_code, result.output

    wanted = ("forget", "--containing", "zqxjkvwombat")
    code, shown = run(*wanted, "--dry-run")
    assert code == 0
    assert "1 question, 1 dream" in shown
    assert HERS.task.question in shown
    code, shown = run(*wanted, answer="n\n")
    assert code == 1
    assert len(lab.memory.experiences()) == 4
    code, shown = run(*wanted, "--yes")
    assert code == 0
    assert "Forgotten." in shown
    assert len(lab.memory.experiences()) == 2
    assert run("--query", "food", "--limit", "1")[1].count("\n") == 1
    assert run()[0] == run("forget")[0] == 2


def test_questions_are_kept_as_long_as_the_setting_says(lab: Lab) -> None:
    assert expire_questions(lab) == 1
    assert {e.id for e in lab.memory.experiences()} == {HERS.id, DREAM.id, PLAIN.id}
    assert expire_questions(lab) == 0
    for_ever = Lab(replace_settings(lab, keep_questions_days=0), lambda: NOW + timedelta(9999))
    assert expire_questions(for_ever) == 0
    days = Lab(replace_settings(lab, keep_questions_days=1), lambda: NOW)
    assert expire_questions(days) == 1
    assert {e.id for e in lab.memory.experiences()} == {DREAM.id, PLAIN.id}


def replace_settings(lab: Lab, **changes: object) -> Settings:
    return lab.settings.model_copy(update=changes)


def test_a_deferred_task_is_kept_masked_expires_and_can_be_forgotten(lab: Lab) -> None:
    asked = "My name is Rosa Delgado, who fixes a roof"
    done, waits = queue.add(lab, asked), queue.add(lab, asked)
    queue.keep(lab, done, "These services fit")
    assert queue.answered(lab)[0].question == "My name is [NAME], who fixes a roof"
    later = Lab(lab.settings, lambda: NOW + timedelta(days=91))
    traces = forgetting.traces_of(later, containing=["rosa delgado"])
    assert traces.deferred == (waits,)
    expire_questions(later)
    assert (queue.answered(lab), queue.waiting(lab)) == ([], [waits])
    forgetting.forget(later, traces)
    assert holding(lab.settings.home, b"Delgado") == []


def test_a_question_forgotten_twice_is_no_error(lab: Lab) -> None:
    traces = forgetting.traces_of(lab, ids=[HERS.id])
    assert forgetting.forget(lab, traces) == 4
    assert forgetting.forget(lab, replace(traces, notes=())) == 0
