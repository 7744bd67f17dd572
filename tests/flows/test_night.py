from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dreamlab.errors import NightError, StorageError, WindowClosed
from dreamlab.lab import Lab
from dreamlab.orchestration import dreaming, learning, report, tasks
from dreamlab.orchestration.traces import send_waiting
from dreamlab.records import Role, from_json, to_json
from dreamlab.tracing import waiting
from dreamlab.training.examples import DATASET
from dreamlab.training.registry import FINE_TUNING, NIGHTS
from flows.dream_session import dream_session
from flows.finetune_base_model import finetune_base_model
from flows.solve_task import solve_task
from tests.flows.conftest import DAY, NIGHT, Opening

KEY = "2026-11-22-night"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, opening: Opening):  # type: ignore[no-untyped-def]
    """One whole small night: the lab, its manifest and its training's report."""
    lab = opening(tmp_path_factory.mktemp("night"))
    tasks.use_lab(lab)
    dreams = tasks.run_flow(dream_session)
    training = tasks.run_flow(finetune_base_model)
    return lab, dreams, training


def test_a_night_accounts_for_every_dream(night) -> None:  # type: ignore[no-untyped-def]
    lab, dreams, _ = night
    assert dreams.night == KEY
    assert dreams.complete
    assert dreams.planned == dreams.solved == dreams.remembered == 16
    assert dreams.verified > 0
    assert sum(dreams.planned_kinds.values()) == 16
    experiences = lab.memory.experiences(night=KEY)
    assert sum(e.verified is True for e in experiences) == dreams.verified
    assert dreaming.manifest(lab, KEY) == dreams


def test_every_dream_keeps_the_answers_of_all_roles(night) -> None:  # type: ignore[no-untyped-def]
    lab, _, _ = night
    for experience in lab.memory.experiences(night=KEY):
        assert {a.role for a in experience.answers} == set(Role) - {Role.JUDGE}
        base = experience.answer(Role.BASE)
        assert base is not None
        assert base.version == "1"


def test_the_untouched_model_is_version_1_and_cites_nothing(night) -> None:  # type: ignore[no-untyped-def]
    lab, dreams, _ = night
    first = lab.registry.versions()[0]
    assert first.untouched
    assert first.scores["natural/f1"] == pytest.approx(0, abs=0.05)
    assert dreams.version == "1"


def test_a_training_ends_with_a_verdict_on_its_own_dataset(night) -> None:  # type: ignore[no-untyped-def]
    lab, dreams, training = night
    assert training.verdict is not None
    assert training.training.new == dreams.verified
    assert training.training.parent == "1"
    folder = lab.settings.training_data_path / training.training.key
    assert (folder / DATASET).exists()
    assert bool(training.version) == training.verdict.passed
    assert {"dense retrieval", "base 1", "team 1"} <= set(training.scores)


def test_no_answer_shows_a_number_that_no_cited_row_has(night) -> None:  # type: ignore[no-untyped-def]
    _, _, training = night
    assert all(s.get("natural/ungrounded", 0) == 0 for s in training.scores.values())


def test_every_dream_left_a_trace_with_its_night(night) -> None:  # type: ignore[no-untyped-def]
    lab, dreams, training = night
    client = lab.registry._client
    runs = {run.info.run_name: run for run in client.search_runs([_experiment(lab, NIGHTS)])}
    run = runs[dreams.night]
    found = client.search_traces(locations=[run.info.experiment_id], run_id=run.info.run_id)
    assert len(found) == dreams.solved
    verdicts = [a.feedback.value for trace in found for a in trace.info.assessments]
    assert sum(verdicts) == dreams.verified
    trained = client.get_run(training.run_id)
    assert {i.dataset.name for i in trained.inputs.dataset_inputs} == {dreams.night, "benchmark"}
    assert trained.data.tags["mlflow.note.content"].startswith("## Training")
    assert {"train/loss", "natural/f1", "team/natural/f1"} <= set(trained.data.metrics)
    assert any(name.startswith("system/") for name in trained.data.metrics)


def test_every_training_run_has_a_report_so_that_mlflow_can_compare_them(night) -> None:  # type: ignore[no-untyped-def]
    lab, _, _ = night
    client = lab.registry._client
    runs = client.search_runs([_experiment(lab, FINE_TUNING)])
    assert {run.info.run_name for run in runs} == {"untouched", KEY}
    for run in runs:
        assert "report.md" in [f.path for f in client.list_artifacts(run.info.run_id)]


def test_a_question_leaves_a_trace_without_its_words(night, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    lab, _, _ = night
    folder = lab.settings.traces_path
    lab.solve("Where can Xaviera get a hot meal?")
    [(path, trace)] = waiting(folder)
    assert {s.name for s in trace.spans} >= {"lead reads", "base model", "recall"}
    assert "Xaviera" not in path.read_text()
    assert send_waiting(lab) == 1
    allowed = lab.settings.model_copy(update={"remember_questions": True, "traces": "off"})
    monkeypatch.setattr(lab, "settings", allowed)
    lab.solve("Where can Xaviera get a hot meal?")
    assert not list(folder.iterdir())
    monkeypatch.setattr(lab, "settings", allowed.model_copy(update={"traces": "asked"}))
    lab.solve("Where can Xaviera get a hot meal?")
    [(path, trace)] = waiting(folder)
    assert "get a hot meal?" in trace.spans[0].inputs["question"]
    assert "Xaviera" not in path.read_text()  # kept, but masked
    path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    assert lab.solve("Where can Xaviera get a hot meal?").answers[0].text
    folder.unlink()


def _experiment(lab: Lab, name: str) -> str:
    return str(lab.registry._client.get_experiment_by_name(name).experiment_id)


def test_a_second_training_finds_nothing_new(night) -> None:  # type: ignore[no-untyped-def]
    lab, _, _ = night
    tasks.use_lab(lab)
    again = tasks.run_flow(finetune_base_model)
    assert "examples_missing: 0" in again.training.skipped
    assert len(learning.reports(lab)) == 1


def test_a_finished_night_is_not_dreamt_again_unless_asked(night) -> None:  # type: ignore[no-untyped-def]
    lab, _, _ = night
    tasks.use_lab(lab)
    assert dreaming.tonight(lab) == dreaming.manifest(lab, KEY)
    with pytest.raises(NightError, match="--again"):
        tasks.run_flow(dream_session)
    more = tasks.run_flow(dream_session, again=True, count=4)
    assert more.night == f"{KEY}-02"
    earlier = {e.task.question for e in lab.memory.experiences(night=KEY)}
    assert not earlier & {e.task.question for e in lab.memory.experiences(night=more.night)}


def test_the_reports_read_and_the_picture_is_drawn(night, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _, dreams, training = night
    text = report.markdown(dreams, training)
    assert f"planned {dreams.planned}" in text
    assert "| dense retrieval |" in text
    report.picture([training]).savefig(tmp_path / "scores.png")
    assert (tmp_path / "scores.png").stat().st_size > 10_000


def test_a_registered_version_answers_like_the_model_that_was_measured(night) -> None:  # type: ignore[no-untyped-def]
    lab, _, training = night
    questions = [q.question for q in lab.benchmark.questions[:12]]
    trained = lab.settings.training_data_path / training.training.key / learning.ADAPTER
    if not training.version:
        run = training.run_id
        lab.registry.register(trained, run, training.training.key, parent=1)
    number = lab.registry.versions()[-1].number
    measured = lab.base_from(trained, "x").propose(questions)
    served = lab.base(str(number)).propose(questions)
    assert [a.referral for a in served] == [a.referral for a in measured]


def test_outside_the_window_nothing_happens(tmp_path: Path, opening: Opening) -> None:
    lab = opening(tmp_path / "home", DAY)
    tasks.use_lab(lab)
    for flow in (dream_session, finetune_base_model):
        with pytest.raises(WindowClosed, match="opens Mon 22:00"):
            tasks.run_flow(flow)
    assert not lab.settings.nights_path.exists()
    assert not lab.settings.mlflow_path.exists()


def test_a_session_stops_at_closing_time_and_the_next_one_resumes(lab: Lab) -> None:
    closing = NIGHT.replace(hour=14)
    times = iter([NIGHT] * 4)
    lab.now = lambda: next(times, closing)
    stopped = tasks.run_flow(dream_session)
    assert not stopped.complete
    assert stopped.solved < stopped.planned == 16
    assert stopped.dropped["window_closed"] == stopped.planned - stopped.solved
    assert dreaming.manifest(lab, KEY) is None
    solved = {e.task.id for e in lab.memory.experiences(night=KEY)}
    lab.now = lambda: NIGHT + timedelta(days=1)
    done = tasks.run_flow(dream_session)
    assert done.night == KEY
    assert done.complete
    ids = [e.task.id for e in lab.memory.experiences(night=KEY)]
    assert len(ids) == len(set(ids)) == 16
    assert solved <= set(ids)


def test_a_seed_reproduces_a_night(tmp_path: Path, opening: Opening) -> None:
    plans = [dreaming.plan_night(opening(tmp_path / name), seed=7, count=12).tasks for name in "ab"]
    assert plans[0] == plans[1]


def test_a_focused_night_stays_with_its_need(lab: Lab) -> None:
    plan = dreaming.plan_night(lab, need="food", count=12)
    needs = Counter(n for t in plan.tasks if t.expected for n in t.expected.needs)
    assert needs["food"] == max(needs.values())


def test_an_unknown_need_names_the_near_ones_and_writes_nothing(lab: Lab) -> None:
    with pytest.raises(NightError, match="food"):
        dreaming.plan_night(lab, need="fod")
    assert not lab.settings.nights_path.exists()


def test_a_damaged_plan_is_named_with_its_remedy(lab: Lab) -> None:
    path = lab.settings.nights_path / KEY / dreaming.PLAN
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(StorageError, match="move it away"):
        dreaming.plan_night(lab)


def test_a_plan_survives_the_disk(lab: Lab) -> None:
    plan = dreaming.plan_night(lab, count=8)
    assert from_json(type(plan), to_json(plan)) == plan
    assert dreaming.unfinished(lab) == [plan]
    assert replace(plan, night="x") not in dreaming.unfinished(lab)


def test_a_question_is_answered_and_not_kept_by_default(lab: Lab) -> None:
    answer = tasks.run_flow(solve_task, task="Where can my dad get a hot meal in Delano?")
    assert answer.answers[0].role == Role.TEAM
    assert answer.answers[0].referral.service_ids
    assert lab.memory.experiences() == []


def test_a_remembered_question_is_masked_in_memory_and_on_disk(
    tmp_path: Path, opening: Opening
) -> None:
    lab = opening(tmp_path / "home", remember_questions=True)
    tasks.use_lab(lab)
    question = "My name is Xochitl Barrera, 661-555-0142, where is a hot meal in Delano?"
    told = tasks.run_flow(solve_task, task=question)
    assert told.task.question == question  # who asks is shown what was asked
    kept = lab.memory.experiences()[0]
    assert kept.task.question == "My name is [NAME], [PHONE], where is a hot meal in Delano?"
    assert kept.answers[0].referral == told.answers[0].referral
    files = [p.read_bytes() for p in lab.settings.home.rglob("*") if p.is_file()]
    assert any(b"hot meal in Delano" in content for content in files)
    assert not any(word in content for content in files for word in (b"Xochitl", b"555-0142"))


def test_masking_can_be_switched_off(tmp_path: Path, opening: Opening) -> None:
    lab = opening(tmp_path / "home", mask_questions=False)
    assert lab.mask("I am Rosa Delgado") == "I am Rosa Delgado"
