"""Whether a scheduled run that starts late is still wanted: a pure function. It reads no clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

Policy = Literal["skip", "latest"]


def outdated(
    policy: Policy, scheduled: datetime, now: datetime, tolerance: timedelta, *, newer_due: bool
) -> str:
    """Why a run scheduled for `scheduled` is not caught up at `now`; empty when it is run.

    After an outage a worker gets every run it missed. With `skip` a run later than `tolerance` is
    dropped; with `latest` the last of those missed is run, the earlier ones are dropped.

    Args:
        policy: what to do about late runs.
        scheduled: when the schedule wanted it.
        now: when it starts.
        tolerance: a delay up to this is no delay.
        newer_due: whether the same schedule has wanted a later run by now.
    """
    lag = now - scheduled
    if lag <= tolerance:
        return ""
    late = f"{_words(lag)} late"
    if policy == "skip":
        return f"late_skipped: {late}, and late runs are skipped"
    return f"late_superseded: {late}, and a later run is due" if newer_due else ""


def _words(lag: timedelta) -> str:
    minutes = int(lag.total_seconds() // 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
