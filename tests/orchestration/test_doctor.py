from pathlib import Path

import pytest

from dreamlab.lab import Lab
from dreamlab.orchestration import doctor, services
from dreamlab.orchestration.doctor import Finding
from dreamlab.settings import Settings


def lab(home: Path, **settings: object) -> Lab:
    return Lab(Settings(home=home, **settings))


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


def test_an_absent_server_blocks_the_night_and_the_remedy_is_named(tmp_path: Path) -> None:
    found = doctor.examine(lab(tmp_path))
    blocked = [f for f in found if f.state == "blocked"]
    assert [f.gate for f in blocked] == ["prefect"]
    assert "dreamlab up" in blocked[0].message
    assert doctor.verdict(found) == "The next night is blocked by: prefect."


def test_an_unreachable_server_is_told_from_an_absent_one(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = f"http://127.0.0.1:{services.free_port()}/api"
    with temporary_settings({PREFECT_API_URL: url}):
        (finding,) = [f for f in doctor.examine(lab(tmp_path)) if f.gate == "prefect"]
    assert finding.state == "blocked"
    assert "cannot be reached" in finding.message


def test_a_window_that_does_not_hold_the_schedule_blocks(tmp_path: Path) -> None:
    small = lab(tmp_path, downtime_start_hour=20, downtime_end_hour=1)
    (finding,) = [f for f in doctor.examine(small) if f.gate == "window"]
    assert finding.state == "blocked"
    assert "dream-session at 02:00" in finding.message


def test_a_full_disk_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED_GIGABYTES", 1e6)
    (finding,) = [f for f in doctor.examine(lab(tmp_path)) if f.gate == "disk"]
    assert finding.state == "blocked"


def test_missing_examples_block_no_dreams(tmp_path: Path) -> None:
    (finding,) = [f for f in doctor.examine(lab(tmp_path)) if f.gate == "examples"]
    assert (finding.state, finding.message[:7]) == ("note", "0 of 50")


def test_waiting_traces_are_counted_and_block_nothing(tmp_path: Path) -> None:
    folder = Settings(home=tmp_path).traces_path
    folder.mkdir()
    (folder / "one.json").write_text("{}")
    (finding,) = [f for f in doctor.examine(lab(tmp_path)) if f.gate == "traces"]
    assert (finding.state, finding.message[:6]) == ("note", "1 wait")
    assert "`dreamlab traces`" in finding.message


def test_nothing_wrong_is_said_so() -> None:
    assert doctor.verdict([Finding("disk", "ok", "")]) == "Nothing blocks the next night."


@pytest.mark.parametrize(
    ("cron", "hours"),
    [
        ("0 2 * * *", [2]),
        ("*/15 0-5,22-23 * * *", [0, 1, 2, 3, 4, 5, 22, 23]),
        ("0 * * * *", list(range(24))),
    ],
)
def test_hours_of_a_cron_line(cron: str, hours: list[int]) -> None:
    assert doctor.hours_of(cron) == hours
