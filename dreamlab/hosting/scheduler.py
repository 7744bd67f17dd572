"""The scheduler as a host application calls it: dream on schedule, dream now, how it stands.

However many workers a web server runs, one process keeps the schedule of a home: `dreamlab
schedule`, which holds a lock. Each worker's `Keeper` starts it where it is missing; it ends when
the last worker has gone, and a worker that is replaced does not disturb it.
"""

from __future__ import annotations

import atexit
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

from dreamlab.errors import UnderWay, WindowClosed
from dreamlab.hosting import hosts
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

BUSY = UnderWay.exit_code
"""Exit code where another process was faster."""


class DreamScheduler:
    """Starts dreams, on schedule or now; safe to share between threads."""

    def __init__(self, hosted: HostedLab) -> None:
        self._hosted = hosted
        self._keeper = Keeper(hosted.settings)
        self.memory_system = MemorySystem(hosted)

    def start_scheduled_dreaming(self) -> None:
        """Dream at `dream_time` each night, from now on; returns at once.

        With a Prefect API configured its deployments' schedules are turned on; without one
        Prefect serves the same flows on the same schedules in one process of this machine, for as
        long as a process that has called this lives. Called by several workers, it starts once.

        Raises:
            WindowClosed: `dream_time` lies outside the downtime window: no night would come.
        """
        check_dream_time(self._hosted.settings)
        hosts.stop(self._hosted.settings, stopped=False)
        self._keeper.start(resume=True)

    def keep_schedule(self) -> None:
        """The same, unless somebody has stopped it, here or in the Prefect UI: that stands."""
        check_dream_time(self._hosted.settings)
        self._keeper.start(resume=False)

    def stop_scheduled_dreaming(self) -> None:
        """Dream on schedule no more, whichever worker is asked, until it is started again.

        The process that serves the schedule ends within seconds, and what it dreams is resumed
        another night; with a Prefect API configured the deployments' schedules are turned off.

        Raises:
            SchedulerError: the Prefect API cannot be reached.
        """
        hosts.stop(self._hosted.settings, stopped=True)
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
        """Leave the schedule to other processes; it ends with the last of them."""
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
    """Sees to it that the schedule of a home is kept while this process lives."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.deployed = False
        self._begin()
        after_fork(self, Keeper._begin)  # in a forked child the parent keeps it
        atexit.register(self.stop)

    def _begin(self) -> None:
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._changing = threading.Lock()

    def start(self, *, resume: bool) -> None:
        """Begin to keep the schedule; `resume` turns the deployments' schedules on again."""
        with self._changing:
            if self._thread is None or not self._thread.is_alive():
                self._stopping.clear()
                self._thread = threading.Thread(
                    target=self._keep, args=(resume,), name="dreams", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Keep it no longer."""
        with self._changing:
            if self._thread:
                self._stopping.set()
                self._thread.join(5)
                self._thread = None
                hosts.leave(self._settings)
            self.deployed = False

    def _keep(self, resume: bool) -> None:
        failures = 0
        try:
            hosts.arrive(self._settings)
            while not self._stopping.is_set():
                if hosts.stopped(self._settings) or sessions.held(
                    self._settings, sessions.SCHEDULE
                ):
                    self._stopping.wait(KEEPER_SECONDS)
                    continue
                code = self._watch(child) if (child := self._started(resume)) else BUSY
                if code == DEPLOYED:
                    self.deployed = True
                    return
                failures = failures + 1 if code not in (0, BUSY) else 0
                if failures and not self._stopping.is_set():
                    log.error("the schedule of dreams is not kept; see %s", self._log)
                rest = RESTS[min(failures, len(RESTS)) - 1] if failures else KEEPER_SECONDS
                self._stopping.wait(rest)
        except Exception:  # a thread's last resort: the host goes on, and its log says why
            log.exception("the schedule of dreams is not kept by this process")

    @property
    def _log(self) -> Path:
        return self._settings.home / "logs" / "schedule.log"

    def _started(self, resume: bool) -> subprocess.Popen[bytes] | None:
        """The child, when it keeps the schedule or has ended; None if another worker starts one."""
        try:
            with sessions.alone(self._settings, "keeper", timeout=0):
                child = self._start_child(resume)
                while child.poll() is None and not self._stopping.wait(0.1):
                    if sessions.held(self._settings, sessions.SCHEDULE):
                        break
                return child
        except UnderWay:
            return None

    def _start_child(self, resume: bool) -> subprocess.Popen[bytes]:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "dreamlab", "schedule", "--hosted"),
                    "--resume" if resume else "--as-it-is",
                ],
                env={**os.environ, **to_environment(self._settings)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a signal to the web server's group is not for it
            )

    def _watch(self, child: subprocess.Popen[bytes]) -> int:
        """Wait for its end, or for ours: it looks itself whether a host is left."""
        while child.poll() is None and not self._stopping.wait(0.5):
            pass
        if child.returncode is None:  # goes on without us; its end is still to be noticed
            threading.Thread(target=child.wait, daemon=True).start()
            return 0
        return child.returncode
