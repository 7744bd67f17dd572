from datetime import UTC, datetime, timedelta

import pytest

from dreamlab.orchestration.punctual import outdated

DUE = datetime(2026, 11, 23, 10, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)


@pytest.mark.parametrize("policy", ["skip", "latest"])
@pytest.mark.parametrize("newer", [True, False])
def test_a_run_within_the_tolerance_is_on_time(policy: str, newer: bool) -> None:
    assert not outdated(policy, DUE, DUE + HALF_AN_HOUR, HALF_AN_HOUR, newer_due=newer)


def test_skip_drops_every_late_run_and_says_how_late_it_is() -> None:
    reason = outdated(
        "skip", DUE, DUE + timedelta(hours=2, minutes=5), HALF_AN_HOUR, newer_due=False
    )
    assert reason == "late_skipped: 2 h 5 min late, and late runs are skipped"


def test_latest_catches_up_the_last_of_those_missed_only() -> None:
    now = DUE + timedelta(minutes=50)
    assert "late_superseded: 50 min" in outdated("latest", DUE, now, HALF_AN_HOUR, newer_due=True)
    assert outdated("latest", DUE, now, HALF_AN_HOUR, newer_due=False) == ""
