"""Which processes host a home's schedule: it is kept for as long as one of them lives.

A web server recycles its workers; what one of them started must not end with it. Each host leaves
a mark with its process number; whoever asks looks whether that process is still the same.
"""

from __future__ import annotations

import os
from pathlib import Path

from dreamlab.errors import StorageError
from dreamlab.orchestration import services
from dreamlab.settings import Settings

FOLDER = "hosts"
STOPPED = "schedule-stopped"


def arrive(settings: Settings) -> None:
    """Mark this process as a host.

    Raises:
        StorageError: the home folder cannot be written.
    """
    try:
        folder = settings.home / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _mark(os.getpid())).touch()
    except OSError as error:
        raise StorageError(
            f"cannot write {settings.home}: {error.strerror}; fix its rights or set DREAMLAB_HOME"
        ) from None


def leave(settings: Settings) -> None:
    """Take this process's mark away."""
    (settings.home / FOLDER / _mark(os.getpid())).unlink(missing_ok=True)


def any_left(settings: Settings) -> bool:
    """Whether a host lives; clears away the marks of those that do not."""
    living = False
    for mark in (settings.home / FOLDER).glob("*-*"):
        if _mark(int(mark.name.split("-")[0])) == mark.name:
            living = True
        else:
            mark.unlink(missing_ok=True)
    return living


def stop(settings: Settings, *, stopped: bool) -> None:
    """Write down that the schedule of this home was stopped, or that it may go on."""
    path = _stopped(settings)
    if stopped:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    else:
        path.unlink(missing_ok=True)


def stopped(settings: Settings) -> bool:
    """Whether the schedule of this home was stopped and not started since."""
    return _stopped(settings).exists()


def _stopped(settings: Settings) -> Path:
    return settings.home / "locks" / STOPPED


def _mark(pid: int) -> str:
    """A name that no later process of the same number has; empty if there is none now."""
    born = services.born(pid)
    return f"{pid}-{born}" if born else ""
