"""Dream Lab in a host application, without a web server: start-up, Python API, commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask

from dreamlab.errors import SettingsError, WindowClosed
from dreamlab.hosting.process import HostedLab
from dreamlab.integration import init_dream_lab
from dreamlab.settings import Settings

STARTING = """
import sys, time
import flask
began = time.process_time()  # of this process: others may keep the cores busy
from dreamlab.integration import init_dream_lab
app = flask.Flask("host")
app.config["DREAM_LAB_CONFIG"] = {"home": sys.argv[1], "auto_schedule_dreams": False}
init_dream_lab(app)
print(time.process_time() - began, *sys.modules)
"""
QUESTION = "Find housing resources for seniors in Kern County"


def host(home: Path, **config: object) -> Flask:
    app = Flask("host")
    app.config["DREAM_LAB_CONFIG"] = {"home": home, "auto_schedule_dreams": False, **config}
    return app


def test_a_host_waits_less_than_a_second_and_loads_nothing_heavy(tmp_path: Path) -> None:
    starts = []
    for _ in range(2):  # the first may have to compile
        seconds, *modules = subprocess.run(
            [sys.executable, "-c", STARTING, str(tmp_path / "home")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        starts.append(float(seconds))
    assert min(starts) < 1
    heavy = {"torch", "transformers", "mlflow", "lancedb", "prefect", "peft", "numpy"}
    assert not heavy & set(modules)
    assert not (tmp_path / "home").exists()


def test_the_application_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMLAB_HOME", str(tmp_path))
    team, scheduler = init_dream_lab()
    result = team.solve_task(QUESTION)
    assert result.text.startswith("These services fit")
    assert result.answers[0].referral.service_ids
    assert scheduler.memory_system.retrieve_relevant_memories("housing seniors") == []


def test_an_application_is_initialised_once(tmp_path: Path) -> None:
    app = host(tmp_path)
    assert init_dream_lab(app) == init_dream_lab(app)


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    app = host(tmp_path, dream_tim="03:00")
    with pytest.raises(SettingsError, match="did you mean dream_time"):
        init_dream_lab(app)
    assert "dream_lab" not in app.blueprints


def test_a_schedule_that_only_finds_the_window_closed_is_refused(tmp_path: Path) -> None:
    _, scheduler = init_dream_lab(host(tmp_path, dream_time="12:00"))
    with pytest.raises(WindowClosed, match=r"12:00.*22:00"):
        scheduler.start_scheduled_dreaming()


def test_a_missing_extra_is_named_with_its_remedy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['flask_limiter'] = None\n"
        "from flask import Flask\n"
        "from dreamlab.errors import MissingExtra\n"
        "from dreamlab.integration import init_dream_lab\n"
        "try:\n"
        "    init_dream_lab(Flask('host'))\n"
        "except MissingExtra as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DREAMLAB_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said == "the web API needs flask_limiter: pip install 'dreamlab[flask]'\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_worker_begins_with_a_lab_of_its_own(tmp_path: Path) -> None:
    """What the parent had opened (models, threads, locks held) is of no use to a child."""
    hosted = HostedLab(Settings(home=tmp_path))
    opened, held = hosted.lab, hosted.opening
    with held:
        child = os.fork()
        if not child:
            fresh = hosted.lab is not opened and hosted.opening.acquire(timeout=5)
            os._exit(0 if fresh and "catalog" not in hosted.lab.__dict__ else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert hosted.lab is opened


def test_every_command_of_the_lab_is_one_of_flask_dream(tmp_path: Path) -> None:
    from dreamlab.cli import main

    app = host(tmp_path, dream_time="03:00")
    init_dream_lab(app)
    help_ = app.test_cli_runner().invoke(args=["dream", "--help"]).output
    for name in main.commands:
        assert name in help_


def test_flask_dream_works_on_the_lab_of_the_application(tmp_path: Path) -> None:
    app = host(tmp_path / "other", directory="kern-all")
    init_dream_lab(app)
    runner = app.test_cli_runner()
    status = runner.invoke(args=["dream", "-v", "status", "--json"])
    assert json.loads(status.output)["directory"].startswith("kern-all")
    memories = runner.invoke(args=["dream", "-v", "memories", "--query", "housing", "--limit", "3"])
    assert "Nothing is remembered" in memories.output
    refused = runner.invoke(args=["dream", "-v", "rollback", "7"])
    assert refused.exit_code == 1
    assert "Error: no version 7" in refused.stderr
    assert "DREAMLAB_DIRECTORY" not in os.environ


def test_a_command_schedules_nothing(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(
        "from flask import Flask\n"
        "from dreamlab.integration import init_dream_lab\n"
        "app = Flask('host')\n"
        f"app.config['DREAM_LAB_CONFIG'] = {{'home': {str(tmp_path / 'home')!r}}}\n"
        "_, scheduler = init_dream_lab(app)\n"
        "@app.cli.command('kept')\n"
        "def kept():\n"
        "    print(scheduler._keeper._thread)\n"
    )
    said = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "host", "kept"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said == "None\n"
