"""A lab inside a host application, whose web server forks and threads as it likes.

One `HostedLab` serves a process. After a fork the child begins with a lab of its own: models,
threads and connections do not survive a fork. It decides nothing.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from dreamlab.lab import Clock, Lab
from dreamlab.settings import Settings


class HostedLab:
    """The lab of this process; to make one costs nothing.

    Args:
        settings: what this place is like.
        clock: returns the present as an aware datetime; tests give their own.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self._clock = clock
        self._begin()
        after_fork(self, HostedLab._begin)

    def _begin(self) -> None:
        self.lab = Lab(self.settings, self._clock) if self._clock else Lab(self.settings)
        self.opening = threading.RLock()


def after_fork(owner: object, renew: Callable[..., None]) -> None:
    """Have `renew(owner)` called in every forked child, for as long as the owner lives."""
    known = weakref.ref(owner)

    def child() -> None:
        living = known()
        if living is not None:
            renew(living)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=child)
