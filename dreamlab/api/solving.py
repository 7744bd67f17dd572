"""Solving behind a web server: a few questions at once, a time limit, progress as it comes."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from pydantic import BaseModel

from dreamlab.api.problems import BUSY, problem_of
from dreamlab.api.shapes import RoleShape, Solved, SolveRequest
from dreamlab.hosting.process import HostedLab, after_fork
from dreamlab.hosting.team import DreamTeam
from dreamlab.records import Answer, Experience

AT_ONCE = 4
"""Questions that one process works on at a time; others wait, first come, first served."""

ALIVE_SECONDS = 10.0
"""How often a stream says that it is alive while nothing happens."""


class Solver:
    """Solves for the web; safe to share between threads."""

    def __init__(self, hosted: HostedLab, team: DreamTeam) -> None:
        self._hosted = hosted
        self._team = team
        self._begin()
        after_fork(self, Solver._begin)

    def _begin(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="solve")

    def solve(self, asked: SolveRequest) -> Solved:
        """The answer to a question.

        Raises:
            Problem: 503, it did not come in time.
            QuestionError: the question says nothing.
        """
        until = time.monotonic() + self._hosted.settings.api_time_limit
        work = self._begun(asked, lambda answer: None)
        return self._shown(asked, self._awaited(work, until))

    def stream(self, asked: SolveRequest) -> Iterator[str]:
        """The same as server-sent events: `role` for each role's answer as soon as it is there,
        at the end `answer` or `problem`."""
        heard: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        until = time.monotonic() + self._hosted.settings.api_time_limit
        work = self._begun(asked, heard.put)
        work.add_done_callback(lambda _: heard.put(None))
        try:
            while answer := self._next(heard, until):
                yield ": waiting\n\n" if answer is True else _event("role", RoleShape.of(answer))
            yield _event("answer", self._shown(asked, self._awaited(work, until)))
        except Exception as error:  # the stream has begun: its last event says what went wrong
            yield _event("problem", problem_of(error).body)
        finally:
            work.cancel()  # the client may have gone before its turn has come

    @staticmethod
    def _next(heard: queue.SimpleQueue[Answer | None], until: float) -> Answer | bool | None:
        """The next answer; True when none came for a while; None when there will be no more."""
        left = until - time.monotonic()
        if left <= 0:
            raise BUSY
        try:
            return heard.get(timeout=min(left, ALIVE_SECONDS))
        except queue.Empty:
            return True

    def _begun(self, asked: SolveRequest, hear: Callable[[Answer], None]) -> Future[Experience]:
        context = asked.context.record if asked.context else None
        return self._threads.submit(self._team.solve_task, asked.task, context, hear)

    @staticmethod
    def _awaited(work: Future[Experience], until: float) -> Experience:
        try:
            return work.result(timeout=max(0.0, until - time.monotonic()))
        except FutureTimeout:
            work.cancel()  # its turn has not come: nobody waits for it any more
            raise BUSY from None

    def _shown(self, asked: SolveRequest, experience: Experience) -> Solved:
        return Solved.of(experience, self._hosted.lab.catalog, asked.roles)


def _event(name: str, data: BaseModel | dict[str, Any]) -> str:
    text = data.model_dump_json() if isinstance(data, BaseModel) else json.dumps(data)
    return f"event: {name}\ndata: {text}\n\n"
