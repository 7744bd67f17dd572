"""The team and its memory as a host application calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dreamlab.hosting.process import HostedLab
from dreamlab.records import Experience, Hearing, Memory, Referral, deaf

if TYPE_CHECKING:
    from dreamlab.memory.store import MemoryStore


class DreamTeam:
    """Answers questions with the champion base model. Safe to share between threads.

    The first question of a process loads the models, which takes seconds; `warm_up` does it
    beforehand.
    """

    def __init__(self, hosted: HostedLab) -> None:
        self._hosted = hosted

    def solve_task(
        self, task: str, context: Referral | None = None, hear: Hearing = deaf
    ) -> Experience:
        """The team's answer to a question: `.text` is what to show, `.answers` who said what.

        Args:
            task: the question, as a person asks it.
            context: the referral of the answer before, for a follow-up ("and in Delano?").
            hear: told of each role's answer while the team works.

        Raises:
            QuestionError: the question is empty or too long.
        """
        return self._hosted.lab.solve(task, context, hear)

    def warm_up(self) -> None:
        """Load what a question needs. Not before the web server forks its workers."""
        _ = self._hosted.lab.everyday_team


class MemorySystem:
    """What the lab remembers. Safe to share between threads."""

    def __init__(self, hosted: HostedLab) -> None:
        self._hosted = hosted

    @property
    def store(self) -> MemoryStore:
        """The store behind it, opened at first use."""
        with self._hosted.opening:
            return self._hosted.lab.memory

    def retrieve_relevant_memories(self, query: str, limit: int = 5) -> list[Memory]:
        """The `limit` memories most relevant to `query`, best first, that still hold by the
        directory of today.

        Raises:
            RecallError: the store is damaged or was made with another embedding model.
        """
        _ = self.store
        return self._hosted.lab.recall(query, limit)
