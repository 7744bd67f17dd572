from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamlab.orchestration.window import Window

LA = ZoneInfo("America/Los_Angeles")
ZONES = ["America/Los_Angeles", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]


def at(text: str, zone: ZoneInfo = LA) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-11-22T21:59:59", False),
        ("2026-11-22T22:00:00", True),
        ("2026-11-23T00:00:00", True),
        ("2026-11-23T05:59:59", True),
        ("2026-11-23T06:00:00", False),
    ],
)
def test_the_end_is_excluded_and_midnight_is_spanned(moment: str, inside: bool) -> None:
    assert Window(22, 6, LA).contains(at(moment)) is inside


def test_a_night_keeps_its_key_across_midnight() -> None:
    window = Window(22, 6, LA)
    assert window.night(at("2026-11-22T23:00")) == "2026-11-22-night"
    assert window.night(at("2026-11-23T02:00")) == "2026-11-22-night"


def test_a_forced_run_by_day_does_not_use_up_the_coming_night() -> None:
    window = Window(22, 6, LA)
    keys = [
        window.night(at(t))
        for t in ("2026-11-22T03:00", "2026-11-22T12:00", "2026-11-22T22:00", "2026-11-23T12:00")
    ]
    assert keys == ["2026-11-21-night", "2026-11-22-day", "2026-11-22-night", "2026-11-23-day"]
    assert keys == sorted(keys)


def test_the_night_of_25_hours_is_one_night() -> None:
    window = Window(22, 6, LA)
    first = datetime(2026, 11, 1, 1, 30, tzinfo=LA, fold=0)
    second = datetime(2026, 11, 1, 1, 30, tzinfo=LA, fold=1)
    assert second.astimezone(UTC) - first.astimezone(UTC) == timedelta(hours=1)
    assert window.contains(first)
    assert window.contains(second)
    assert window.night(first) == window.night(second) == "2026-10-31-night"


def test_equal_hours_mean_always_open() -> None:
    window = Window(6, 6, LA)
    assert window.contains(at("2026-11-22T12:00"))
    assert window.closes(at("2026-11-22T12:00")) is None


moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
hours = st.integers(0, 23)


@given(moments, hours, hours, st.sampled_from(ZONES))
def test_a_window_contains_every_moment_until_it_closes(
    now: datetime, start: int, end: int, zone: str
) -> None:
    window = Window(start, end, ZoneInfo(zone))
    closes = window.closes(now)
    if closes is None:
        assert start == end or not window.contains(now)
        return
    assert now < closes <= now + timedelta(hours=26)
    assert window.contains(closes - timedelta(seconds=1))


@given(moments, hours, hours, st.sampled_from(ZONES))
def test_the_next_opening_is_inside_and_not_in_the_past(
    now: datetime, start: int, end: int, zone: str
) -> None:
    window = Window(start, end, ZoneInfo(zone))
    opens = window.opens(now)
    assert now <= opens <= now + timedelta(hours=50)
    local = opens.astimezone(window.zone)
    # A start hour that DST skips opens at the first hour after it.
    assert window.contains(opens) or local.hour != start
