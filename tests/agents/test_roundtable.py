"""The roles as language models, over real HTTP: what they may change, and what stands when not."""

from __future__ import annotations

import json
import random
import zlib
from collections import Counter
from datetime import UTC, datetime

import pytest

from dreamlab.agents.asking import Occasion, open_models
from dreamlab.agents.models import Breakers
from dreamlab.agents.team import Team
from dreamlab.directory.catalog import Catalog
from dreamlab.records import Memory, MemoryKind, Role, Task, TaskKind
from dreamlab.settings import Settings
from tests.agents.conftest import SERVICES, ask
from tests.agents.llm_server import (
    Drip,
    Fault,
    Hangup,
    Reply,
    dutiful,
    in_turn,
    role_of,
    row_in,
    said,
    serving,
    unmarked,
)

QUESTION = "where can I get groceries"
PUZZLING = "my cupboard has been bare since the layoff"
"""A question that says no need in so many words."""

ROLES = (Role.LEAD, Role.RESOURCE, Role.SEARCH, Role.RECOMMENDATION)


@pytest.fixture
def seated(bank, embedder, tmp_path):
    """`seated(url, catalog=…, breakers=…, recall=…, **settings)`: a team with language models."""

    def seat(url, catalog=None, breakers=None, recall=None, account="night", **settings):
        given = {"llm_timeout": 1.0, "llm_retries": 0, **settings}
        lab = Settings(home=tmp_path, llm_url=url, llm_model="m", **given)
        models = open_models(lab, breakers or Breakers(failures=10_000))
        team = Team(catalog or Catalog("tiny", SERVICES, helpline="2-1-1"), bank, embedder, recall)
        return team.seat(models, lambda task: Occasion(account, task.key), 4)

    return seat


def by_role(answers):
    return {answer.role: answer for answer in answers}


def scripted(**roles):
    """A dutiful model but for the roles named, each of which gives the answer named."""

    def script(body):
        reply = roles.get(role_of(body), dutiful)
        return reply(body) if callable(reply) else reply

    return script


def lead_saying(**fields):
    """A lead that replies dutifully but for these fields."""

    def reply(body):
        return json.dumps({**json.loads(dutiful(body)), **fields})

    return reply


def test_a_team_of_language_models_writes_around_citations_and_renders_the_rows(seated):
    with serving(dutiful) as server:
        answers = by_role(seated(server.url).solve(ask(QUESTION)))
    team = answers[Role.TEAM]
    assert team.referral.needs == ("food",)
    assert team.referral.service_ids[0] == "s3"
    assert "Pantry Express is listed here [s3]." in team.text
    assert "555-010-0003" in team.text
    assert team.use.fallback == ""
    written = min(3, len(team.referral.service_ids))
    assert team.use.calls == 4 + written
    assert team.use.tokens_in == 100 * team.use.calls
    for role in ROLES:
        assert answers[role].use.calls == 1 + (written if role == Role.LEAD else 0)
        assert answers[role].use.fallback == ""


def test_what_the_models_understand_decides_what_is_cited(seated, team):
    def understand(body):
        return json.dumps({**json.loads(dutiful(body)), "needs": ["food"], "groups": ["seniors"]})

    offline = team.solve(ask(PUZZLING))[0].referral
    with serving(scripted(expert=understand, lead=understand)) as server:
        answers = by_role(seated(server.url).solve(ask(PUZZLING)))
    assert offline.needs == ()
    assert answers[Role.TEAM].referral.needs == ("food",)
    assert answers[Role.TEAM].referral.groups == ("seniors",)
    assert answers[Role.TEAM].referral.service_ids == ("s4", "s3")
    assert answers[Role.RESOURCE].referral.service_ids == ("s4", "s3")
    assert answers[Role.RESOURCE].notes == ("reads: food, seniors",)
    assert "- search specialist: food for seniors" in said(
        next(body for body in server.requests if role_of(body) == "lead")
    )


def test_the_words_of_an_expert_are_searched_for(seated, team):
    def puzzled(body):
        return json.dumps({**json.loads(dutiful(body)), "words": "tenants with an eviction notice"})

    with serving(scripted(expert=puzzled)) as server:
        answers = by_role(seated(server.url).solve(ask("they taped a paper on my door")))
    assert answers[Role.SEARCH].referral.service_ids[0] == "s2"
    assert answers[Role.SEARCH].notes == ("looks for: tenants with an eviction notice",)
    assert answers[Role.TEAM].referral.service_ids[0] == "s2"


def test_a_model_may_refuse_only_what_does_not_say_its_need(seated):
    refusing = lead_saying(nothing_fits=True)
    with serving(scripted(lead=refusing)) as server:
        answer = seated(server.url).solve(ask(PUZZLING))[0]
    assert answer.referral.nothing_fits
    assert answer.use.fallback == ""
    assert "2-1-1" in answer.text


def test_the_fact_that_a_model_hears_asked_for_is_told_of_the_service_named(seated):
    question = "so the Tenant Union, does it set me back anything?"
    with serving(scripted(lead=lead_saying(field="fees"))) as server:
        answer = seated(server.url).solve(ask(question))[0]
    assert answer.referral.field == "fees"
    assert answer.referral.service_ids == ("s2",)
    assert all(role_of(body) != "write" for body in server.requests)


def test_only_the_role_whose_model_fails_answers_offline_and_says_so(seated):
    with serving(scripted(expert=Fault(500))) as server:
        answers = by_role(seated(server.url).solve(ask(QUESTION)))
    assert answers[Role.SEARCH].use.fallback == "server_error"
    assert "offline answer: server_error" in answers[Role.SEARCH].notes
    assert answers[Role.LEAD].use.fallback == ""
    assert answers[Role.TEAM].use.fallback == ""


FAULTS = {
    "rate_limited": Fault(429),
    "server_error": Fault(500),
    "timeout": Fault(200, pause=30),
    "dripping": Drip(),
    "cut_off": Reply("{" * 40, chunks_sent=2),
    "unreachable": Hangup(),
    "malformed": '{"needs": ["food"',
    "prose": "I would call the food bank at 555-999-1234.",
    "wrong_schema": '{"answer": 42}',
    "wrong_types": json.dumps({"needs": "food"}),
    "empty": "",
    "refused": Fault(403),
    "html": Fault(200, "<html>proxy</html>"),
    "not_an_object": "[1, 2, 3]",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_under_every_fault_the_offline_answer_stands_and_is_marked(fault, seated, team):
    offline = by_role(team.solve(ask(QUESTION)))
    with serving(in_turn(FAULTS[fault])) as server:
        answers = by_role(seated(server.url, llm_timeout=0.4).solve(ask(QUESTION)))
    for role in (Role.TEAM, *ROLES):
        assert answers[role].referral == offline[role].referral
        assert answers[role].text == offline[role].text
        assert answers[role].use.fallback
        assert f"offline answer: {answers[role].use.fallback}" in answers[role].notes


def test_faults_mixed_at_random_leave_every_task_answered_and_no_budget_exceeded(seated):
    seen: Counter[int] = Counter()
    limits = {"llm_night_tokens": 300_000, "llm_answer_tokens": 30_000}
    tasks = [Task(f"d{n}", f"{QUESTION} {n}", night="night") for n in range(30)]

    def script(body):
        key = zlib.crc32(unmarked(body).encode())
        seen[key] += 1
        chosen = random.Random(key + seen[key]).choice([*FAULTS.values(), *[None] * 10])
        return dutiful(body) if chosen is None else chosen

    with serving(script) as server:
        team = seated(server.url, llm_timeout=0.4, llm_retries=1, **limits)
        ledger = team.roundtable.models.ledger
        answered = team.solve_many(tasks)
    assert ledger.spent("night").tokens <= 300_000
    assert len(answered) == len(tasks)
    outcomes = set()
    for answers in answered:
        assert [a.role for a in answers] == [
            Role.TEAM,
            Role.LEAD,
            Role.RESOURCE,
            Role.SEARCH,
            Role.RECOMMENDATION,
        ]
        assert all(a.use is not None for a in answers)
        assert all(a.referral.service_ids for a in answers[:1])
        outcomes |= {a.use.fallback for a in answers}
    assert {"", "server_error", "malformed", "timeout"} <= outcomes


def test_a_bad_reply_is_mended_once(seated):
    def script(body):
        if role_of(body) == "lead" and "could not be used" not in said(body):
            return '{"needs": ["groceries"]}'
        return dutiful(body)

    with serving(script) as server:
        answers = by_role(seated(server.url).solve(ask(QUESTION)))
    assert answers[Role.TEAM].use.fallback == ""
    asked = [role_of(b) for b in server.requests]
    assert asked.count("lead") == 2
    assert answers[Role.TEAM].use.calls == len(asked)
    repairs = [b for b in server.requests if "could not be used" in said(b)]
    assert len(repairs) == 1
    assert '{"needs": ["groceries"]}' in said(repairs[0])


def test_a_night_repeated_costs_nothing(seated):
    tasks = [Task("d1", QUESTION, night="n"), Task("d2", "eviction help", night="n")]
    with serving(dutiful) as server:
        first = seated(server.url).solve_many(tasks)
        sent = len(server.requests)
        again = seated(server.url, account="another").solve_many(tasks)
        assert len(server.requests) == sent
    assert [a[0].text for a in again] == [a[0].text for a in first]
    assert again[0][0].use.remembered
    assert again[0][0].use.calls == again[0][0].use.tokens_in == 0


def test_an_occasion_that_keeps_nothing_leaves_nothing_behind(seated):
    with serving(dutiful) as server:
        team = seated(server.url)
        team.seat(team.roundtable.models, lambda t: Occasion("day", t.key, keep=False))
        team.solve(ask("my secret question about groceries"))
        sent = len(server.requests)
        team.solve(ask("my secret question about groceries"))
        assert len(server.requests) == 2 * sent
        path = team.roundtable.models.ledger._path
    for file in path.parent.iterdir():
        assert b"Pantry" not in file.read_bytes()
        assert b"secret question" not in file.read_bytes()


def test_when_the_budget_is_spent_the_offline_team_answers(seated, team):
    with serving(dutiful) as server:
        answers = by_role(seated(server.url, llm_night_tokens=10).solve(ask(QUESTION)))
    assert server.requests == []
    assert answers[Role.TEAM].use.fallback == "budget_spent"
    assert answers[Role.TEAM].text == team.solve(ask(QUESTION))[0].text


# What a model may not do


@pytest.mark.parametrize(
    "fields",
    [
        {"needs": ["free money"]},
        {"groups": ["pirates"]},
        {"field": "password"},
        {"nothing_fits": True},
        {"nothing_fits": True, "needs": ["food"]},
        {"needs": "food"},
        {"extra": 1},
        {"service_ids": ["s5"]},
    ],
)
def test_a_lead_that_oversteps_is_not_followed(fields, seated, team):
    offline = team.solve(ask(QUESTION))[0]
    with serving(scripted(lead=lead_saying(**fields))) as server:
        answer = seated(server.url).solve(ask(QUESTION))[0]
    assert answer.use.fallback == "wrong_schema"
    assert answer.referral == offline.referral
    assert answer.text == offline.text


def writing(text):
    """A lead that writes this of every row."""
    return lambda body: json.dumps({"text": text})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("  ", "wrong_schema"),
        ("They all give away cars.", "unsupported"),
        ("Call 555-999-9999.", "unsupported"),
        ("Call 555-010-0003.", "unsupported"),
        ("See www.pantry.example.org.", "unsupported"),
        ("x" * 5000, "wrong_schema"),
    ],
)
def test_what_is_not_borne_out_is_not_written_and_the_rows_are_shown(text, why, seated, team):
    offline = team.solve(ask(QUESTION))[0]
    with serving(scripted(write=writing(text))) as server:
        answer = seated(server.url).solve(ask(QUESTION))[0]
    assert answer.use.fallback == ""
    assert answer.referral == offline.referral
    assert answer.text == offline.text
    assert f"nothing written about s3: {why}" in answer.notes


def test_unsupported_claims_are_cut_and_counted(seated):
    text = (
        "Pantry Express has groceries and food boxes [s9]. It also pays your rent. "
        "Call 555-123-9876 for a car."
    )

    def write(body):
        own = row_in(body)["name"] == "Pantry Express"
        return json.dumps({"text": text if own else "It pays the rent of everybody."})

    with serving(scripted(write=write)) as server:
        answers = by_role(seated(server.url).solve(ask(QUESTION)))
    team = answers[Role.TEAM]
    others = min(3, len(team.referral.service_ids)) - 1
    assert team.use.cut == 2 + others
    assert team.text.startswith("Pantry Express has groceries and food boxes [s3].\n\n")
    assert "555-123-9876" not in team.text
    assert "rent" not in team.text
    assert answers[Role.LEAD].notes[-2 - 2 * others :][:2] == (
        "cut: It also pays your rent.",
        "cut: Call 555-123-9876 for a car.",
    )


def test_roles_without_a_model_stay_offline(seated, team):
    offline = by_role(team.solve(ask(QUESTION)))
    with serving(dutiful) as server:
        led = seated(server.url)
        del led.roundtable.models.by_role["expert"]
        answers = by_role(led.solve(ask(QUESTION)))
        assert {role_of(b) for b in server.requests} == {"lead", "write"}
        assert answers[Role.SEARCH].referral == offline[Role.SEARCH].referral
        assert answers[Role.SEARCH].use is None
        assert answers[Role.TEAM].use.calls == len(server.requests)
        del led.roundtable.models.by_role["lead"]
        answers = by_role(led.solve(ask(QUESTION)))
    assert answers[Role.TEAM].text == offline[Role.TEAM].text
    assert answers[Role.TEAM].use is None


def test_what_has_no_words_to_choose_by_is_not_sent(seated):
    with serving(dutiful) as server:
        answers = seated(server.url).solve_many([ask("hello"), ask("groceries in Ohio")])
    assert server.requests == []
    assert [a[0].use.fallback for a in answers] == ["not_asked", "not_asked"]


# Open dreams and looking back


def test_an_open_dream_is_imagined_checked_and_judged(seated):
    task = Task("o1", "Imagine a night shelter that also serves groceries", TaskKind.IMAGINE, "n")
    with serving(dutiful) as server:
        answers = by_role(seated(server.url).solve(task))
    assert set(answers) == {Role.TEAM, Role.JUDGE}
    assert "Idea: they could share one waiting list." in answers[Role.TEAM].text
    assert answers[Role.TEAM].referral.service_ids
    assert answers[Role.JUDGE].text == "passed"


def test_an_idea_may_hold_no_number_and_no_false_claim(seated):
    def idea(body):
        text = "Idea: give 40 cars away. The county pays all rent [s1]. Idea: open longer."
        return json.dumps({"text": text})

    task = Task("o1", "Design a workflow for the night shelter", TaskKind.DESIGN, "n")
    with serving(scripted(open=idea)) as server:
        answers = by_role(seated(server.url).solve(task))
    assert answers[Role.TEAM].text == "Idea: open longer."
    assert answers[Role.TEAM].use.cut == 2


def test_an_open_dream_without_a_model_says_that_there_is_no_idea(team, seated):
    task = Task("o1", "Imagine a night shelter", TaskKind.IMAGINE, "n")
    assert team.solve(task)[0].notes == ("no idea: no language model",)
    with serving(in_turn(Fault(500))) as server:
        (answer,) = seated(server.url).solve(task)
    assert answer.use.fallback == "server_error"
    assert answer.text == ""


def test_a_look_back_keeps_what_rests_on_dreams_and_names_no_number(seated):
    good = {"text": "Questions about food went well.", "dreams": [1, 2]}
    bad = [
        {"text": "Call 555-010-9999.", "dreams": [1]},
        {"text": "Rests on nothing.", "dreams": []},
        {"text": "Rests on another night.", "dreams": [7]},
        {"text": "Always cite s1 for every question.", "dreams": [1]},
    ]
    reply = json.dumps({"went_well": [good, *bad], "improve": [], "new": [], "next_time": [good]})
    with serving(in_turn(reply)) as server:
        table = seated(server.url).roundtable
        lessons = table.look_back(["1. food: right", "2. housing: wrong"], Occasion("n", "back"))
    assert lessons["went_well"] == [(good["text"], [1, 2])]
    assert lessons["next_time"] == [(good["text"], [1, 2])]


def test_of_memories_the_reading_roles_are_told_the_facets(seated):
    def remembered(text, *needs):
        now = datetime(2026, 11, 22, tzinfo=UTC)
        return Memory(text, "n0", MemoryKind.INSIGHT, text, now, needs=needs, groups=("seniors",))

    def recall(text, limit=5):
        return [remembered("Seniors ask for lunch.", "food"), remembered("?", "food", "unheard")]

    with serving(dutiful) as server:
        seated(server.url, recall=recall).solve(ask(QUESTION))
    for body in server.requests:
        assert "Seniors ask for lunch." not in said(body)
        assert ("- food for seniors (2 times)" in said(body)) == (role_of(body) != "write")
