"""What a finder of personal data returns, and what stands in its place afterwards. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A kind of personal data; its value stands in square brackets where something was masked.

    In capitals, so that what imitates the wording of questions takes it for a name and stays away.
    """

    NAME = "NAME"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    SSN = "SSN"
    CASE = "CASE NUMBER"
    ADDRESS = "ADDRESS"
    BIRTH = "DATE OF BIRTH"

    @property
    def placeholder(self) -> str:
        """What the masked text shows."""
        return f"[{self.value}]"


PLACEHOLDER = re.compile("|".join(re.escape(kind.placeholder) for kind in Kind))


@dataclass(frozen=True, slots=True)
class Finding:
    """Personal data of a kind in a text, from character `start` up to `end`."""

    start: int
    end: int
    kind: Kind

    def overlaps(self, others: Iterable[Finding]) -> bool:
        """Whether it shares a character with one of the others."""
        return any(self.start < other.end and other.start < self.end for other in others)
