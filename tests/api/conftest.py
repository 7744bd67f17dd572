"""A Flask application with a real lab, one for all tests of the session: loading takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dreamlab.api.blueprint import PREFIX
from dreamlab.integration import DreamScheduler, DreamTeam, init_dream_lab
from dreamlab.memory.reflection import reflect
from dreamlab.records import Experience

TOKEN = "a-token-of-sufficient-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PATH, QUESTION = PREFIX, "Where can my dad get a hot meal in Delano? He is 70"

Hosting = Callable[..., Flask]


@pytest.fixture(scope="session")
def api_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api") / "home"


@pytest.fixture(scope="session")
def hosting(api_home: Path) -> Hosting:
    """Makes applications on one home; keys of DREAM_LAB_CONFIG as arguments."""

    def host(token: str = TOKEN, **config: Any) -> Flask:
        app = Flask("host")
        defaults = {
            "home": api_home,
            "auto_schedule_dreams": False,
            "api_rate_limit": "9999/second",
        }
        app.config["DREAM_LAB_CONFIG"] = {**defaults, **config}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DREAMLAB_API_TOKENS", token)
            init_dream_lab(app)
        return app

    return host


@pytest.fixture(scope="session")
def app(hosting: Hosting) -> Flask:
    """An application whose lab remembers three experiences."""
    app = hosting()
    team, scheduler = parts(app)
    now = datetime(2026, 11, 20, 10, tzinfo=UTC)
    dreamt = [
        Experience(solved.task, solved.answers, now, verified=True)
        for solved in map(
            team.solve_task, (QUESTION, "Help with rent for a veteran", "hospital in Taft")
        )
    ]
    scheduler.memory_system.store.append(dreamt)
    scheduler.memory_system.store.append_reflections([reflect(e) for e in dreamt])
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def parts(app: Flask) -> tuple[DreamTeam, DreamScheduler]:
    team, scheduler = app.extensions["dream_lab"]
    assert isinstance(team, DreamTeam)
    assert isinstance(scheduler, DreamScheduler)
    return team, scheduler
