"""The command line as a person or a script meets it: exit codes, one-line errors, JSON."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dreamlab.cli import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [n for n in os.environ if n.startswith("DREAMLAB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DREAMLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["-v", *arguments])


def failed(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("Error: ")
    for word in words:
        assert word in result.stderr


def test_status_of_an_empty_home_writes_nothing(home: Path) -> None:
    result = run("status", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["directory"] == "kern, 139 services"
    assert not home.exists()


def test_a_misspelt_setting_is_named_with_the_right_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DREAMLAB_DREAM_TASK_COUT", "3")
    failed(run("status"), 2, "DREAMLAB_DREAM_TASK_COUT", "DREAMLAB_DREAM_TASK_COUNT?")


def test_a_bad_value_is_named_with_its_setting(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMLAB_DOWNTIME_START_HOUR", "25")
    failed(run("status"), 2, "DREAMLAB_DOWNTIME_START_HOUR", "'25'")


def test_an_unknown_time_zone_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMLAB_TIME_ZONE", "Bakersfield")
    failed(run("status"), 2, "DREAMLAB_TIME_ZONE", "IANA")


def test_an_unknown_directory_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMLAB_DIRECTORY", "kernel")
    failed(run("directory", "facets"), 1, "kernel", "kern")


def test_a_home_that_is_a_file_is_refused(home: Path) -> None:
    home.write_text("mine")
    failed(run("dream", "--force"), 1, str(home), "DREAMLAB_HOME")
    assert home.read_text() == "mine"


def test_the_closed_window_says_when_it_opens(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import datetime, timedelta

    soon = datetime.now().astimezone() + timedelta(hours=3)
    monkeypatch.setenv("DREAMLAB_TIME_ZONE", "UTC")
    hour = soon.astimezone(tz=None).utctimetuple().tm_hour
    monkeypatch.setenv("DREAMLAB_DOWNTIME_START_HOUR", str(hour))
    monkeypatch.setenv("DREAMLAB_DOWNTIME_END_HOUR", str((hour + 1) % 24))
    failed(run("dream"), 3, "outside the downtime window", f"{hour:02d}:00", "--force")
    assert not (home / "nights").exists()


@pytest.mark.parametrize("question", ["", "   ", "x" * 100_000, "🦆🦆🦆"])
def test_an_impossible_question_is_one_line(home: Path, question: str) -> None:
    failed(run("solve", question), 2, "question")


@pytest.mark.parametrize("question", ["\x00\x1b[31mfood\x07", "我需要食物", "food \udcff"])
def test_an_odd_question_gets_an_honest_answer(home: Path, question: str) -> None:
    result = run("solve", question)
    assert result.exit_code == 0
    assert result.stdout.strip()
    assert "\x1b" not in result.stdout


def test_an_answer_in_json_names_what_it_cites(home: Path) -> None:
    result = run("solve", "--json", "Where can I get free groceries in Delano?")
    answers = json.loads(result.stdout)["answers"]
    assert answers[0]["role"] == "team"
    assert all(i.startswith("kern-") for i in answers[0]["referral"]["service_ids"])


def test_a_version_that_is_not_there_cannot_be_rolled_back_to(home: Path) -> None:
    failed(run("rollback", "7"), 1, "version 7")
    assert not (home / "mlflow").exists()


def test_no_versions_is_said_so(home: Path) -> None:
    assert "first night" in run("versions").stdout


def test_no_memories_is_said_so(home: Path) -> None:
    assert "Nothing" in run("memories", "--query", "housing").stdout


def test_the_directory_can_be_looked_into(home: Path) -> None:
    assert "food" in run("directory", "facets").stdout
    assert "kern-" in run("directory", "search", "food pantry").stdout
    assert "no " in run("directory", "gaps", "--need", "housing").stdout
    assert "* kern" in run("directory", "list").stdout


def test_a_broken_directory_is_not_imported(home: Path, tmp_path: Path) -> None:
    broken = tmp_path / "services.csv"
    broken.write_text("id,organization,service\n1,a\n")
    failed(run("directory", "import", str(broken), "--name", "mine"), 1, "services.csv", "line 2")
    assert "mine" not in run("directory", "list").stdout


def test_an_imported_directory_answers(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "services.csv"
    rows.write_text("id,organization,service,resource_types,city\n1,Bread House,Pantry,food,Oz\n")
    assert run("directory", "import", str(rows), "--name", "mine").exit_code == 0
    monkeypatch.setenv("DREAMLAB_DIRECTORY", "mine")
    assert "Oz" in run("directory", "facets").stdout


def test_help_teaches_by_example() -> None:
    result = run("--help")
    assert "dreamlab solve" in result.output
    assert "dreamlab night --force" in result.output
