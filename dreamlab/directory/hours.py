"""Opening hours in words, from the schedules of HSDS (3.x: RFC 5545 rules; 1.1/2.0: weekdays)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dreamlab.directory.rows import tidy
from dreamlab.directory.tables import Row

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_NUMBER = {day[:2].upper(): i for i, day in enumerate(DAYS)}
_TIME = re.compile(r"T?(\d{1,2})(?::?(\d{2}))?(?::\d{2}(?:\.\d+)?)?\s*(?:([ap])\.?m\.?)?", re.I)
_NTH = {"1": "first", "2": "second", "3": "third", "4": "fourth", "5": "fifth", "-1": "last"}


def hours(rows: Sequence[Row]) -> str:
    """Schedules as one line such as `Mon-Fri 9am-5pm; Sat 10am-noon`; '' when they say nothing."""
    spans: dict[str, list[tuple[int, ...]]] = {}
    told: list[str] = []
    for row in rows:
        days, times = _days(row), _times(row)
        text = tidy(row.get("description"))
        if text and any(c.isdigit() for c in text):
            told.append(text)  # whoever described the hours knew more than the rule can say
        elif days and times and _weekly(row):
            spans.setdefault(times, []).append(days)
            told.append(text)
        elif text:
            told.append(text)
        elif times or row.get("byday"):
            told.append(tidy(f"{_monthly(row)} {times}"))
    lines = [f"{_named(sorted({d for s in days for d in s}))} {t}" for t, days in spans.items()]
    return "; ".join(dict.fromkeys([*lines, *filter(None, told)]))


def _weekly(row: Row) -> bool:
    plain = row.get("freq").upper() in ("", "WEEKLY") and row.get("interval") in ("", "1")
    return plain and not row.get("bymonthday", "byyearday", "byweekno")


def _days(row: Row) -> tuple[int, ...]:
    """Days of the week (Monday is 0): rules say MO,TU; weekday 1 to 7 or a day's name."""
    found = [_NUMBER.get(part.strip().upper()[:2]) for part in row.get("byday").split(",")]
    if row.get("byday"):
        return () if None in found else tuple(d for d in found if d is not None)
    weekday = row.get("weekday")
    if weekday.isdecimal() and len(weekday) == 1 and 0 <= int(weekday) <= 7:
        return ((int(weekday) + 6) % 7,)
    number = _NUMBER.get(weekday.upper()[:2])
    return () if number is None else (number,)


def _monthly(row: Row) -> str:
    """A rule such as `2MO` in words: `second Mon`; '' for what cannot be said shortly."""
    said = []
    for part in row.get("byday").upper().split(","):
        match = re.fullmatch(r"\s*(-?\d)?([A-Z]{2})[A-Z]*\s*", part)
        if not match or match[2] not in _NUMBER:
            return ""
        said.append(f"{_NTH.get(match[1] or '', '')} {DAYS[_NUMBER[match[2]]]}".strip())
    often = row.get("freq").lower()
    every = f"every {row.get('interval')} weeks" if row.get("interval") not in ("", "1") else ""
    return tidy(f"{' and '.join(said)} {often if often == 'monthly' else ''} {every}")


def _times(row: Row) -> str:
    opens, closes = _time(row.get("opens_at")), _time(row.get("closes_at"))
    if opens and closes:
        return "24 hours" if (opens, closes) in _ALL_DAY else f"{opens}-{closes}"
    return f"from {opens}" if opens else f"until {closes}" if closes else ""


_ALL_DAY = {("midnight", "midnight"), ("midnight", "11:59pm")}


def _time(text: str) -> str:
    """A time of day as people write it (`9am`, `noon`, `5:30pm`); '' if it is none."""
    match = _TIME.match(text)
    if not match:
        return ""
    hour, minute = int(match[1]), int(match[2] or 0)
    if match[3] and hour <= 12:
        hour = hour % 12 + (12 if match[3].lower() == "p" else 0)
    if hour > 24 or minute > 59:
        return ""
    if minute == 0 and hour in (0, 12, 24):
        return "noon" if hour == 12 else "midnight"
    half = "am" if hour % 24 < 12 else "pm"
    return f"{hour % 12 or 12}{f':{minute:02}' if minute else ''}{half}"


def _named(days: Sequence[int]) -> str:
    """Days in words, runs of three and more shortened: `Mon-Wed, Fri`."""
    if len(days) == 7:
        return "daily"
    runs: list[list[int]] = []
    for day in days:
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    said = [
        f"{DAYS[run[0]]}-{DAYS[run[-1]]}" if len(run) > 2 else ", ".join(DAYS[d] for d in run)
        for run in runs
    ]
    return ", ".join(said)
