"""The same roles under CrewAI. Needs the extra `crewai`; see docs/llm-team.md."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from dreamlab.agents.asking import Occasion, open_models
from dreamlab.agents.models import Breakers
from dreamlab.errors import SettingsError
from dreamlab.records import Role, Task
from dreamlab.settings import Settings
from tests.agents.conftest import ask
from tests.agents.llm_server import Fault, dutiful, in_turn, role_of, serving

QUESTION = "where can I get groceries"


@pytest.fixture
def crewed(team, tmp_path):
    def seat(url, **settings):
        given = {"llm_timeout": 2.0, "llm_retries": 0, **settings}
        models = open_models(
            Settings(home=tmp_path, llm_url=url, llm_model="m", **given), Breakers(10_000)
        )
        return team.seat(models, lambda task: Occasion("night", task.key), 3, crew=True)

    return seat


@pytest.mark.skipif(find_spec("crewai") is not None, reason="CrewAI is installed here")
def test_without_crewai_the_setting_names_the_remedy(crewed):
    with (
        serving(dutiful) as server,
        pytest.raises(SettingsError, match=r"dreamlab\[crewai\]"),
    ):
        crewed(server.url)


def test_a_crew_answers_as_the_roles_do_among_themselves(crewed, team):
    pytest.importorskip("crewai")
    with serving(dutiful) as server:
        in_crew = crewed(server.url).solve(ask(QUESTION))
        spoken = [role_of(body) for body in server.requests]
        assert spoken[:4] == ["expert"] * 3 + ["lead"]
        assert set(spoken[4:]) == {"write"}
        team.roundtable.crew = False
        alone = team.solve(ask(QUESTION))
    assert [(a.role, a.referral, a.text) for a in in_crew] == [
        (a.role, a.referral, a.text) for a in alone
    ]
    assert all(a.use.fallback == "" for a in in_crew)
    assert alone[0].use.remembered


def test_a_crew_whose_models_fail_answers_offline_and_stays_in_budget(crewed, team):
    pytest.importorskip("crewai")
    offline = {a.role: a.referral for a in team.solve(ask(QUESTION))}
    with serving(in_turn(Fault(500))) as server:
        answers = crewed(server.url).solve(ask(QUESTION))
    assert {a.role: a.referral for a in answers} == offline
    assert all(a.use.fallback == "server_error" for a in answers if a.role != Role.BASE)
    with serving(dutiful) as server:
        answers = crewed(server.url, llm_night_tokens=10).solve(ask(QUESTION))
        assert server.requests == []
    assert answers[0].use.fallback == "budget_spent"


def test_several_questions_are_put_to_crews_at_the_same_time(crewed):
    pytest.importorskip("crewai")
    questions = ("groceries", "eviction help", "a shelter bed", "a doctor")
    with serving(dutiful) as server:
        tasks = [Task(f"d{n}", question) for n, question in enumerate(questions)]
        answered = crewed(server.url).solve_many(tasks)
    assert [a[0].use.fallback for a in answered] == [""] * 4
    assert [a[0].referral.service_ids[0] for a in answered] == ["s3", "s2", "s1", "s6"]
