"""The downtime window: a pure function of time, zone and hours. It reads no clock.

Local wall-clock hours decide, so that a day of 23 or 25 hours (DST) needs no special case: an
hour that occurs twice is inside both times, an hour that is skipped is simply never now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Window:
    """Downtime from `start_hour` to `end_hour` (local, end excluded) in `zone`.

    A window whose start is later than its end spans midnight; equal hours mean always open.
    All methods take an aware datetime.
    """

    start_hour: int
    end_hour: int
    zone: ZoneInfo

    def contains(self, now: datetime) -> bool:
        """Whether `now` lies inside the window."""
        return self.holds(now.astimezone(self.zone).hour)

    def holds(self, hour: int) -> bool:
        """Whether an hour of the local day lies inside the window."""
        if self.start_hour == self.end_hour:
            return True
        if self.start_hour < self.end_hour:
            return self.start_hour <= hour < self.end_hour
        return hour >= self.start_hour or hour < self.end_hour

    def night(self, now: datetime) -> str:
        """The key of the night that `now` belongs to.

        Inside the window it is `<date of its opening>-night`, outside (a forced run)
        `<date>-day`; compared as strings, keys sort in time.
        """
        local = now.astimezone(self.zone)
        if not self.contains(now):
            return f"{local.date()}-day"
        opened = local.date()
        if self.start_hour > self.end_hour and local.hour < self.end_hour:
            opened -= timedelta(days=1)
        return f"{opened}-night"

    def closes(self, now: datetime) -> datetime | None:
        """When the window that contains `now` closes (UTC); None if always open or not inside."""
        if self.start_hour == self.end_hour or not self.contains(now):
            return None
        return self._next(self.end_hour, now)

    def opens(self, now: datetime) -> datetime:
        """When the window next opens (UTC); `now` itself if it is open."""
        return now if self.contains(now) else self._next(self.start_hour, now)

    def _next(self, hour: int, now: datetime) -> datetime:
        local = now.astimezone(self.zone)
        for days in range(3):
            date = local.date() + timedelta(days=days)
            moment = datetime.combine(date, time(hour), tzinfo=self.zone).astimezone(UTC)
            if moment > now:
                return moment
        raise AssertionError("an hour of the day comes round within two days")

    def __str__(self) -> str:
        return f"{self.start_hour:02d}:00 to {self.end_hour:02d}:00 {self.zone.key}"
