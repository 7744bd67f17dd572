"""A night of a team of language models, on the real directory, against real HTTP."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from dreamlab.agents import showing
from dreamlab.lab import Lab
from dreamlab.orchestration import dreaming, report, tasks
from dreamlab.records import OPEN_KINDS, MemoryKind, Role
from dreamlab.training.examples import examples
from flows.dream_session import dream_session
from tests.agents.llm_server import Reply, dutiful, role_of, said, serving
from tests.flows.conftest import NIGHT, Opening

KEY = "2026-11-22-night"
SMALL = {"dream_task_count": 8, "llm_model": "m", "llm_open_dreams": 3, "llm_retries": 0}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, opening: Opening):  # type: ignore[no-untyped-def]
    """One small night: the server, the lab and the night's manifest."""
    with serving(dutiful) as server:
        lab = opening(tmp_path_factory.mktemp("night"), llm_url=server.url, **SMALL)
        tasks.use_lab(lab)
        yield server, lab, tasks.run_flow(dream_session)


def test_every_dream_is_answered_by_the_models_and_accounted_for(night) -> None:  # type: ignore[no-untyped-def]
    server, lab, dreams = night
    assert dreams.complete
    assert dreams.solved == 11
    experiences = lab.memory.experiences(night=KEY)
    assert all(e.answers[0].use is not None for e in experiences)
    assert any(e.answers[0].use.fallback == "" for e in experiences)
    assert dreams.models["calls"] + 1 == len(server.requests)  # and one to look back
    spent = lab.models.ledger.spent(KEY)
    assert spent.tokens == 120 * len(server.requests)
    assert dreams.models["tokens"] == spent.tokens - 120
    assert f"{dreams.models['calls']:.0f} calls" in report.dreams_markdown(dreams)


def test_open_dreams_are_remembered_and_judged_but_not_learnt_from(night) -> None:  # type: ignore[no-untyped-def]
    _, lab, _ = night
    open_ones = [e for e in lab.memory.experiences(night=KEY) if e.task.kind in OPEN_KINDS]
    assert {e.task.kind for e in open_ones} == set(OPEN_KINDS)
    for e in open_ones:
        assert e.verified is None
        assert e.reasons == ("open", "judged_good")
        assert e.answer(Role.JUDGE) is not None
    learnt = {x.experience_id for x in examples(lab.memory.experiences(night=KEY))}
    assert not learnt & {e.id for e in open_ones}


def test_the_lead_looks_back_and_its_insights_are_recalled(night) -> None:  # type: ignore[no-untyped-def]
    server, lab, _ = night
    assert [role_of(body) for body in server.requests].count("reflect") == 1
    texts = [i.text for i in lab.memory.reflections(night=KEY, kind=MemoryKind.INSIGHT)]
    assert "Went well: Questions about food went well." in texts
    assert "New: Questions about food went well." in texts
    recalled = lab.memory.recall("which questions about food went well", limit=3)
    assert any("Questions about food went well" in memory.text for memory in recalled)
    later = lab.night_team("1", "2026-11-23-night")
    told = later.roundtable._remembered("questions about food went well")
    assert any(memory.kind == MemoryKind.INSIGHT for memory in told)
    assert "went well" not in showing.earlier(told, later.tools.vocabulary)


def test_the_same_night_dreamt_again_elsewhere_costs_nothing(
    night,  # type: ignore[no-untyped-def]
    opening: Opening,
    tmp_path: Path,
) -> None:
    server, lab, dreams = night
    sent = len(server.requests)
    again = opening(tmp_path / "again", llm_url=server.url, **SMALL)
    again.settings.llm_path.parent.mkdir()
    with lab.models.ledger._open() as db:
        db.execute("VACUUM INTO ?", (str(again.settings.llm_path),))
    plan = dreaming.plan_night(again)
    dreaming.solve_dreams(again, plan, plan.tasks)
    repeated = dreaming.account(again, plan)
    assert len(server.requests) == sent
    assert repeated.models["calls"] == repeated.models["tokens"] == 0
    asked = [
        a
        for e in lab.memory.experiences(night=KEY)
        for a in e.answers
        if a.use and a.use.calls and (a.role != Role.TEAM or e.task.kind in OPEN_KINDS)
    ]
    assert repeated.models["remembered"] == len(asked) > 0
    assert repeated.verified == dreams.verified
    assert dreaming.reflect_on(lab, KEY) == 0
    assert len(server.requests) == sent


def test_a_spent_budget_stops_the_night_and_the_next_night_goes_on(
    opening: Opening, tmp_path: Path
) -> None:
    limits = {"dream_task_count": 13, "llm_night_tokens": 60_000}
    with serving(lambda body: Reply(dutiful(body), usage=(1_000, 400))) as server:
        lab = opening(tmp_path / "home", llm_url=server.url, **{**SMALL, **limits})
        tasks.use_lab(lab)
        stopped = tasks.run_flow(dream_session)
        assert not stopped.complete
        assert stopped.dropped["tokens_spent"] == stopped.planned - stopped.solved > 0
        assert 0 < lab.models.ledger.spent(KEY).tokens <= 60_000
        assert dreaming.manifest(lab, KEY) is None
        lab.now = lambda: NIGHT + timedelta(days=1)
        assert tasks.run_flow(dream_session).complete
        assert lab.models.ledger.spent(KEY).tokens <= 60_000
        assert lab.models.ledger.spent("2026-11-23-night").tokens <= 60_000
    ids = [e.id for e in lab.memory.experiences(night=KEY)]
    assert len(ids) == len(set(ids)) == stopped.planned


def test_without_settings_no_model_is_asked_and_no_open_dream_is_planned(lab: Lab) -> None:
    assert lab.models is None
    plan = dreaming.plan_night(lab, count=8)
    assert not any(task.kind in OPEN_KINDS for task in plan.tasks)
    answers = lab.solve("Where can my dad get a hot meal in Delano?").answers
    assert all(answer.use is None for answer in answers)
    assert not lab.settings.llm_path.exists()


def test_a_question_asked_is_sent_masked_and_its_answer_not_kept(
    opening: Opening, tmp_path: Path
) -> None:
    with serving(dutiful) as server:
        lab = opening(tmp_path / "home", llm_url=server.url, **SMALL)
        question = "my name is Eustaquio Salas, 661-555-0147: a hot meal for my dad in Delano"
        heard: list[Role] = []
        answer = lab.solve(question, hear=lambda a: heard.append(a.role)).answers[0]
        sent = "\n".join(map(said, server.requests))
    assert "hot meal" in sent
    assert "Eustaquio" not in sent
    assert "555-0147" not in sent
    assert answer.use is not None
    assert answer.use.calls >= 4
    assert set(heard) == {Role.LEAD, Role.RESOURCE, Role.SEARCH, Role.RECOMMENDATION}
    for file in lab.settings.llm_path.parent.iterdir():
        assert b"hot meal" not in file.read_bytes()
        assert json.dumps(answer.text)[1:20].encode() not in file.read_bytes()
