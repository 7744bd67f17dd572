"""What an import did: rows read, joined and skipped, each skipped one with its reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Skipped:
    """A row left out: its file, where it stands there, and why."""

    file: str
    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file} {self.where}: {self.reason}"


@dataclass(frozen=True)
class ImportReport:
    """The outcome of reading a directory.

    `read` and `joined` count rows by table: those read, and those of them that went into a
    service. `services` is the number of services that came out, one for each location.
    """

    source: str
    format: str
    services: int = 0
    read: Mapping[str, int] = field(default_factory=dict)
    joined: Mapping[str, int] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    title: str = ""
    helpline: str = ""

    def __str__(self) -> str:
        read, joined = sum(self.read.values()), sum(self.joined.values())
        lines = [
            f"{self.services} services from {self.source} ({self.format}):"
            f" {read} rows read, {joined} joined, {len(self.skipped)} skipped"
        ]
        reasons = Counter(_kind(skipped.reason) for skipped in self.skipped)
        for reason, count in reasons.most_common():
            first = next(s for s in self.skipped if _kind(s.reason) == reason)
            more = f" (and {count - 1} more like it)" if count > 1 else ""
            lines.append(f"skipped {first}{more}")
        lines += [f"note: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def _kind(reason: str) -> str:
    """A reason without the ids in it, to group by."""
    return re.sub(r"`[^`]*`|\d+", "*", reason)
