"""What a night may spend: a pure function of what it has spent. It reads no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Budget:
    """Minutes of wall-clock and the window's closing time that bound one session of dreams."""

    started_at: datetime
    minutes: float
    closes_at: datetime | None = None

    @property
    def ends_at(self) -> datetime:
        """The moment after which no step starts: the earlier of both bounds."""
        end = self.started_at + timedelta(minutes=self.minutes)
        return min(end, self.closes_at) if self.closes_at else end

    def spent(self, now: datetime) -> str:
        """The reason code of the bound that is reached at `now`; empty while none is."""
        if self.closes_at and now >= self.closes_at:
            return "window_closed"
        return "out_of_time" if now >= self.ends_at else ""
