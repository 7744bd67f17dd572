"""The scheduler as a host application calls it: dream on schedule, dream now, how it stands.

However many workers a web server runs, one process keeps the schedule of a home: each worker's
`Keeper` tries for it, the holder of the lock is `dreamlab schedule`, a child that ends with its
parent, and another worker takes over.
"""

from __future__ import annotations

import atexit
import logging
import os
import subprocess
import sys
import threading

from dreamlab.errors import WindowClosed
from dreamlab.hosting.process import HostedLab, after_fork
from dreamlab.hosting.team import MemorySystem
from dreamlab.orchestration import dreaming, sessions
from dreamlab.orchestration.scheduler import Started
from dreamlab.settings import Settings, to_environment

log = logging.getLogger("dreamlab")

KEEPER_SECONDS = 5.0
"""How often a worker looks whether the schedule is kept."""

DEPLOYED = 10
"""Exit code of `dreamlab schedule --attached` where a Prefect server keeps the schedule."""

RESTS = (5.0, 15.0, 60.0, 300.0)
"""Seconds to wait after a scheduler that failed, the more the oftener it does."""


class DreamScheduler:
    """Starts dreams, on schedule or now; safe to share between threads."""

    def __init__(self, hosted: HostedLab) -> None:
        self._hosted = hosted
        self._keeper = Keeper(hosted.settings)
        self.memory_system = MemorySystem(hosted)

    def start_scheduled_dreaming(self) -> None:
        """Dream at `dream_time` each night, from now on; returns at once.

        With a Prefect API configured its deployments' schedules are turned on; without one
        Prefect serves the same flows on the same schedules in one child process of this machine.
        Called twice, or by several workers, it is started once.

        Raises:
            WindowClosed: `dream_time` lies outside the downtime window: no night would come.
        """
        check_dream_time(self._hosted.settings)
        self._keeper.start()

    def stop_scheduled_dreaming(self) -> None:
        """Dream on schedule no more. A dream under way in the served process is stopped and
        kept; with a Prefect API configured the deployments' schedules are turned off.

        Raises:
            SchedulerError: the Prefect API cannot be reached.
        """
        deployed = self._keeper.deployed
        self._keeper.stop()
        if deployed:
            sessions.set_schedule(self._hosted.settings, active=False)

    def trigger_dream_session(
        self,
        *,
        count: int | None = None,
        strategy: str | None = None,
        need: str = "",
        group: str = "",
        seed: int | None = None,
        again: bool = False,
        force: bool = False,
    ) -> Started:
        """Start a dream session now; returns at once with its run's id and where to watch it.

        Args:
            count: dreams to plan; by default the setting `dream_task_count`.
            strategy: how to choose them; by default the setting `dream_strategy`.
            need: dream of this need only.
            group: dream of this group only.
            seed: reproduces a night.
            again: dream another night although tonight's is finished.
            force: run outside the downtime window; the manifest records it.

        Raises:
            WindowClosed: the downtime window is closed and `force` is not set.
            UnderWay: a session is under way.
            SchedulerError: the Prefect server cannot be reached, or refuses.
        """
        dreaming.open_session(self._hosted.lab, force=force)
        parameters = {
            "count": count,
            "strategy": strategy,
            "need": need,
            "group": group,
            "seed": seed,
            "again": again,
            "force": force,
        }
        given = {k: v for k, v in parameters.items() if v not in (None, "", False)}
        return sessions.trigger(self._hosted.settings, given)

    @property
    def dreaming(self) -> bool:
        """Whether a process of this home is dreaming now."""
        return sessions.dreaming_here(self._hosted.settings)

    @property
    def scheduled(self) -> str:
        """Who keeps the schedule: `served` here, `deployed` on a Prefect server, or `off`."""
        if sessions.held(self._hosted.settings, sessions.SCHEDULE):
            return "served"
        return "deployed" if self._keeper.deployed else "off"

    def close(self) -> None:
        """Let go of the schedule, if this process keeps it; another worker takes over."""
        self._keeper.stop()


def check_dream_time(settings: Settings) -> None:
    """Refuse a schedule that would only ever find the window closed.

    Raises:
        WindowClosed: `dream_time` lies outside the downtime window.
    """
    hour = int(settings.dream_time.split(":")[0])
    start, end = settings.downtime_start_hour, settings.downtime_end_hour
    inside = start <= hour < end if start < end else hour >= start or hour < end
    if start != end and not inside:
        raise WindowClosed(
            f"dream_time {settings.dream_time} lies outside the downtime window ({start:02d}:00 "
            f"to {end:02d}:00); change dream_time, downtime_start_hour or downtime_end_hour"
        )


class Keeper:
    """Sees to it that the schedule of a home is kept, by this process or by another."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.deployed = False
        self._begin()
        after_fork(self, Keeper._leave)
        atexit.register(self.stop)

    def _begin(self) -> None:
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[str] | None = None
        self._stopping = threading.Event()
        self._starting = threading.Lock()

    def _leave(self) -> None:
        """In a forked child: the parent keeps the schedule, and the pipe that says it lives."""
        if self._child and self._child.stdin:
            os.close(self._child.stdin.fileno())
            self._child.stdin = None
        if self._child:
            self._child.returncode = 0  # it is the parent's child: not to be waited for
        self._begin()

    def start(self) -> None:
        """Begin to keep the schedule."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._stopping.clear()
                self._thread = threading.Thread(target=self._keep, name="dreams", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Let go of it; returns when the child has ended."""
        with self._starting:
            self._stopping.set()
            if self._thread and self._thread is not threading.current_thread():
                self._thread.join(40)
            self._thread = None
            self.deployed = False

    def _keep(self) -> None:
        failures = 0
        try:
            while not self._stopping.is_set():
                if sessions.held(self._settings, sessions.SCHEDULE):
                    self._stopping.wait(KEEPER_SECONDS)
                    continue
                code = self._run_child()
                if code == DEPLOYED:
                    self.deployed = True
                    return
                failures = 0 if code == 0 else failures + 1
                rest = RESTS[min(failures, len(RESTS)) - 1] if failures else KEEPER_SECONDS
                self._stopping.wait(rest)
        except Exception:  # a thread's last resort: the host goes on, and its log says why
            log.exception("the schedule of dreams is not kept by this process")

    def _run_child(self) -> int:
        """Run `dreamlab schedule` until it ends, or until told to stop; its exit code."""
        child = subprocess.Popen(
            [sys.executable, "-m", "dreamlab", "schedule", "--attached"],
            env={**os.environ, **to_environment(self._settings)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._child = child
        said: list[str] = []
        reader = threading.Thread(target=_collect, args=(child, said), daemon=True)
        reader.start()
        while child.poll() is None and not self._stopping.wait(0.2):
            pass
        if child.stdin:
            child.stdin.close()  # its sign to end
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        reader.join(1)
        self._child = None
        if child.returncode not in (0, DEPLOYED) and not self._stopping.is_set():
            log.error("the schedule of dreams ended: %s", said[-1] if said else child.returncode)
        return child.returncode


def _collect(child: subprocess.Popen[str], lines: list[str]) -> None:
    for line in child.stderr or ():
        if line.strip():
            lines[:] = [*lines[-20:], line.strip()]
