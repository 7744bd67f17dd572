"""Weeks of nights, simulated on the window, the budget and the rule for late runs: in any zone,
across DST and midnight, with a worker that comes and goes. No step outside the window, none lost,
none doubled.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dreamlab.orchestration.budget import Budget
from dreamlab.orchestration.punctual import Policy, outdated
from dreamlab.orchestration.window import Window

ZONES = [
    "America/Los_Angeles",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # DST of half an hour
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "Pacific/Apia",
    "UTC",
]
TOLERANCE = timedelta(minutes=30)
STEP = timedelta(minutes=7)
STEPS = 8
NEVER = datetime.max.replace(tzinfo=UTC)


def fires(zone: ZoneInfo, hour: int, minute: int, first: datetime, days: int) -> list[datetime]:
    """When a daily cron fires (UTC): twice where DST repeats the hour, later where it skips it."""
    found = set()
    for day in range(days):
        date = (first + timedelta(days=day)).astimezone(zone).date()
        for fold in (0, 1):
            local = datetime.combine(date, time(hour, minute, fold=fold), tzinfo=zone)
            found.add(local.astimezone(UTC))
    return sorted(found)


@dataclass
class Lab:
    """A night in short: eight steps, kept by key, resumed where they were left."""

    window: Window
    done: dict[str, int] = field(default_factory=dict)
    steps: list[tuple[str, int, datetime]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def session(self, now: datetime, dies_at: datetime) -> datetime:
        """Dream from `now` until done, closing time or death; returns when it ended."""
        if not self.window.contains(now):
            self.skipped.append("window_closed")
            return now
        budget = Budget(now, 60, self.window.closes(now))
        unfinished = [key for key, steps in self.done.items() if steps < STEPS]
        night = unfinished[0] if unfinished else self.window.night(now)
        if self.done.get(night, 0) == STEPS:
            self.skipped.append("already dreamt")
            return now
        self.done.setdefault(night, 0)
        while self.done[night] < STEPS and not budget.spent(now):
            if now + STEP > dies_at:
                return dies_at  # killed in the step: nothing of it is kept
            self.steps.append((night, self.done[night], now))
            self.done[night] += 1
            now += STEP
        return now


outages = st.lists(st.tuples(st.integers(0, 14 * 24 * 60), st.integers(1, 3 * 24 * 60)), max_size=6)


@settings(max_examples=400, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    first=st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),
    hours=st.tuples(st.integers(0, 23), st.integers(0, 23)),
    cron=st.tuples(st.integers(0, 23), st.sampled_from([0, 15, 30, 45])),
    policy=st.sampled_from(["skip", "latest"]),
    down=outages,
)
@example("America/Los_Angeles", datetime(2026, 10, 25, tzinfo=UTC), (22, 6), (1, 30), "skip", [])
@example("Europe/Berlin", datetime(2026, 3, 20, tzinfo=UTC), (22, 6), (2, 30), "latest", [])
def test_weeks_of_nights_lose_nothing_double_nothing_and_keep_to_the_window(
    zone: str,
    first: datetime,
    hours: tuple[int, int],
    cron: tuple[int, int],
    policy: Policy,
    down: list[tuple[int, int]],
) -> None:
    local = ZoneInfo(zone)
    lab = Lab(Window(*hours, local))
    gone = sorted((first + timedelta(minutes=s), first + timedelta(minutes=s + n)) for s, n in down)
    due = fires(local, *cron, first, 14)
    free, on_time = first, []
    for moment in due:
        start = up_at(max(moment, free), gone)
        newer = any(moment < other <= start for other in due)
        if outdated(policy, moment, start, TOLERANCE, newer_due=newer):
            lab.skipped.append("late")
            continue
        dies = next(
            (begin for begin, _ in gone if begin >= start), datetime.max.replace(tzinfo=UTC)
        )
        if start == moment and start + STEP * STEPS <= dies:
            on_time.append(moment)
        free = lab.session(start, dies)

    assert all(lab.window.contains(now) for _, _, now in lab.steps)
    keys = [(night, step) for night, step, _ in lab.steps]
    assert len(keys) == len(set(keys))
    for night, steps in lab.done.items():
        assert [s for n, s in keys if n == night] == list(range(steps))
    assert sum(steps < STEPS for steps in lab.done.values()) <= 1  # at most the last is unfinished
    closing = [m for m in on_time if (c := lab.window.closes(m)) and c - m < STEP * STEPS]
    for moment in on_time:
        if lab.window.contains(moment) and moment not in closing:
            held = {n for n, _, now in lab.steps if moment <= now < moment + STEP * STEPS}
            assert held or lab.done.get(lab.window.night(moment)) == STEPS  # the night was not lost


def up_at(moment: datetime, gone: list[tuple[datetime, datetime]]) -> datetime:
    """The first moment from here on at which the worker is up."""
    for begin, end in gone:
        if begin <= moment < end:
            moment = end
    return moment


@given(
    now=st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from(ZONES),
    start=st.integers(0, 23),
    end=st.integers(0, 23),
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=40),
)
def test_no_step_of_any_length_starts_after_closing_time(
    now: datetime, zone: str, start: int, end: int, lengths: list[int]
) -> None:
    window = Window(start, end, ZoneInfo(zone))
    if not window.contains(now):
        return
    budget = Budget(now, 24 * 60, window.closes(now))
    for minutes in lengths:
        if budget.spent(now):
            break
        assert window.contains(now)
        now += timedelta(minutes=minutes)
