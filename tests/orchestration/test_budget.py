from datetime import UTC, datetime, timedelta

from dreamlab.orchestration.budget import Budget

START = datetime(2026, 11, 22, 23, tzinfo=UTC)


def test_time_is_spent_at_its_end_and_not_before() -> None:
    budget = Budget(START, minutes=60)
    assert budget.spent(START + timedelta(minutes=59, seconds=59)) == ""
    assert budget.spent(START + timedelta(minutes=60)) == "out_of_time"


def test_the_window_closes_a_session_that_has_minutes_left() -> None:
    budget = Budget(START, minutes=60, closes_at=START + timedelta(minutes=10))
    assert budget.ends_at == START + timedelta(minutes=10)
    assert budget.spent(START + timedelta(minutes=10)) == "window_closed"
