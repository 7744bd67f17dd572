"""The door to a language model that writes. The embedded team needs none and asks none."""

from __future__ import annotations

from typing import Protocol


class Writer(Protocol):
    """A language model behind some endpoint, as the lead would ask it."""

    @property
    def name(self) -> str:
        """The model's name, for the record."""

    def write(self, prompt: str) -> str:
        """The model's answer to one prompt."""
