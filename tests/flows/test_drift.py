"""A real lab whose directory changes after it has dreamt and learnt: what is closed is closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dreamlab.directory.catalog import import_directory, open_directory
from dreamlab.directory.rows import MANIFEST, ROWS, format_manifest, format_rows
from dreamlab.integration import init_dream_lab
from dreamlab.lab import Lab
from dreamlab.orchestration import dreaming, learning
from dreamlab.records import Arm, Experience, Referral, Role, Service, Task, TaskKind
from dreamlab.settings import Settings
from dreamlab.training.examples import LINEAGE, lineage_of
from tests.flows.conftest import NIGHT, Opening

pytestmark = pytest.mark.slow

CITY = "Fresno"
"""New in the directory; its phrase bank has it among the places elsewhere."""


@dataclass
class Drifted:
    """A lab that dreamt, learnt and answered, before its directory changed; and what changed."""

    lab: Lab
    client: FlaskClient
    closed: Service
    moved: Service
    added: Service
    city: tuple[Service, ...]
    questions: tuple[str, ...]
    before: Sequence[Experience]


def put(settings: Settings, services: Sequence[Service], source: Path, phrases: Path) -> None:
    source.mkdir(exist_ok=True)
    (source / ROWS).write_text(format_rows(services))
    (source / MANIFEST).write_text(format_manifest("mine", "Mine", "2-1-1"))
    (source / "phrases.toml").write_text((phrases / "phrases.toml").read_text())
    import_directory(source, "mine", settings)


def phone_of(service: Service) -> str:
    return f"Which phone number does {service.name} have?"


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory, opening: Opening) -> Drifted:
    home = tmp_path_factory.mktemp("drift")
    settings = Settings(home=home, directory="mine")
    kern = open_directory("kern", settings)
    assert kern.folder
    put(settings, kern.services, home / "source", kern.folder)
    lab = opening(home, directory="mine", training_tokens=5000, score_team=False, threads=2)
    lab.arm = Arm(gated=False)
    learning.ensure_first_version(lab)

    known = [
        s
        for s in kern.services
        if s.phone
        and s.place
        and [match.service for match in kern.named(phone_of(s), 2)] == [s]
        and not any(s.phone in str(row) or s.name in str(row) for row in kern.services if row != s)
    ]
    plan = dreaming.plan_night(lab, count=10, force=True)
    facts = tuple(
        Task(
            f"fact-{s.id}",
            phone_of(s),
            TaskKind.FACT,
            plan.night,
            "en",
            Referral(field="phone", service_ids=(s.id,)),
        )
        for s in known[:4]
    )
    plan = replace(plan, tasks=(*plan.tasks, *facts))
    dreaming.solve_dreams(lab, plan, plan.tasks)
    right = {e.task.id for e in lab.memory.experiences(night=plan.night) if e.verified}
    closed, moved, *_ = (s for s in known if f"fact-{s.id}" in right)
    dreaming.reflect_on(lab, plan.night)
    dreaming.close_night(lab, plan)
    training = learning.gather(lab, min_examples=1, force=True)
    learning.train(lab, training)
    learning.evaluate(lab, training)
    learning.conclude(lab, training, learning.decide(lab, training))
    lab.settings = lab.settings.model_copy(update={"remember_questions": True})

    app = Flask("host")
    app.config["DREAM_LAB_CONFIG"] = {
        "home": home,
        "directory": "mine",
        "auto_schedule_dreams": False,
    }
    team, _ = init_dream_lab(app)
    team._hosted.lab = lab
    questions = (
        phone_of(closed),
        f"Tell me about {closed.name}",
        f"{closed.needs[0]} for {(closed.groups or kern.groups)[0]} in {closed.place}",
        closed.description,
    )
    before = [lab.solve(question) for question in questions]

    new = replace(
        closed, id="new-1", organization="Amber Circle", name="Amber Circle", phone="555-010-0001"
    )
    city = tuple(
        replace(
            s,
            id=f"new-{i}",
            organization=f"{CITY} House {i}",
            name=f"{CITY} House {i}",
            needs=(need,),
            groups=(),
            place=CITY,
            phone=f"555-020-000{i}",
        )
        for i, (s, need) in enumerate(zip(kern.services, kern.needs[:3], strict=False), 2)
    )
    elsewhere = replace(moved, place=next(p for p in kern.places if p != moved.place))
    rows = [elsewhere if s.id == moved.id else s for s in kern.services if s.id != closed.id]
    put(settings, [*rows, new, *city], home / "source", kern.folder)
    return Drifted(lab, app.test_client(), closed, elsewhere, new, city, questions, before)


def test_it_was_cited_while_it_was_listed(drifted: Drifted) -> None:
    told = drifted.before[0]
    assert told.answers[0].referral.service_ids[0] == drifted.closed.id
    assert drifted.closed.phone in told.text
    remembered = drifted.lab.memory.experiences()
    assert any(drifted.closed.id in e.answers[0].referral.service_ids for e in remembered)


def test_a_closed_service_is_cited_and_named_by_nobody(drifted: Drifted) -> None:
    closed = drifted.closed
    for question in drifted.questions:
        solved = drifted.lab.solve(question)
        assert {a.role for a in solved.answers} >= {Role.TEAM, Role.SEARCH, Role.BASE}
        for answer in solved.answers:
            assert closed.id not in (*answer.referral.service_ids, *answer.nearest), answer.role
            assert closed.name not in answer.text
            assert closed.phone not in answer.text


def test_the_version_trained_before_goes_on_alone_as_well(drifted: Drifted) -> None:
    base = drifted.lab.base()
    assert base is not None
    assert base.version == "2"
    assert CITY in base.format.places
    for answer in base.propose(drifted.questions):
        assert drifted.closed.id not in (*answer.referral.service_ids, *answer.nearest)


def test_the_web_api_cites_and_recalls_it_no_more(drifted: Drifted) -> None:
    closed = drifted.closed
    for question in drifted.questions:
        reply = drifted.client.post("/api/dream_lab/solve", json={"task": question})
        assert reply.status_code == 200
        said = reply.get_data(as_text=True)
        assert not any(word in said for word in (f'"{closed.id}"', closed.name, closed.phone))
    found = drifted.client.get("/api/dream_lab/memories", query_string={"query": closed.name})
    memories = [memory["text"] for memory in found.get_json()["memories"]]
    assert memories
    assert not any(closed.id in text or closed.name in text for text in memories)


def test_what_moved_came_or_is_in_a_new_city_is_found_at_once(drifted: Drifted) -> None:
    lab = drifted.lab
    told = lab.solve(phone_of(drifted.moved)).text
    assert drifted.moved.phone in told
    assert f"· {drifted.moved.place}" in told
    assert lab.solve(phone_of(drifted.added)).answers[0].referral.service_ids == (drifted.added.id,)
    for service in drifted.city:
        cited = lab.solve(f"{service.needs[0]} in {CITY}").answers[0].referral.service_ids
        assert service.id in cited


def test_the_next_night_dreams_on_and_unlearns_nothing_true(drifted: Drifted) -> None:
    lab, closed, moved = drifted.lab, drifted.closed, drifted.moved
    lab.now = lambda: NIGHT + timedelta(days=1)  # type: ignore[method-assign]
    plan = dreaming.plan_night(lab, count=8, force=True)
    dreaming.solve_dreams(lab, plan, plan.tasks)
    dreaming.close_night(lab, plan)
    training = learning.gather(lab, min_examples=1, force=True)
    assert training.parent == "2"
    assert training.directory == lab.catalog.fingerprint
    learnt = set(lineage_of(lab.settings.training_data_path / training.key / LINEAGE))
    earlier = set(lineage_of(lab.settings.training_data_path / "2026-11-22-night" / LINEAGE))
    of_closed, of_moved = (f"2026-11-22-night/fact-{s.id}" for s in (closed, moved))
    assert {of_closed, of_moved} <= earlier
    assert of_moved in learnt, "what moved is still known by its phone"
    assert of_closed not in learnt, "what is closed is not"
    rows = learning._dataset_rows(lab.settings.training_data_path / training.key)
    assert all(lab.format.decode(row["completion"]) for row in rows)

    put(
        lab.settings,
        lab.catalog.services[1:],
        lab.settings.home / "source",
        lab.catalog.folder or Path(),
    )
    anew = learning.gather(lab, min_examples=1, force=True)
    assert anew.key == training.key
    assert anew.directory != training.directory, "what was gathered for other rows is not trained"
