"""How long questions that people asked are kept: until the setting says that it is enough."""

from __future__ import annotations

from datetime import timedelta

from dreamlab.lab import Lab
from dreamlab.orchestration import queue
from dreamlab.records import TaskKind


def expire_questions(lab: Lab) -> int:
    """Forget what people asked more than `keep_questions_days` ago; the questions in memory.

    Tasks that were deferred to the night and answered go as well, those that still wait do not.
    What was dreamt in the meantime stays: a dream holds no name or number of a question.
    """
    days = lab.settings.keep_questions_days
    if not days:
        return 0
    oldest = lab.now() - timedelta(days=days)
    for task in queue.answered(lab):
        if task.added_at < oldest:
            queue.remove(lab, task.id)
    old = [
        e
        for e in lab.memory.experiences()
        if e.task.kind == TaskKind.ASKED and e.created_at < oldest
    ]
    return lab.memory.forget(old) if old else 0
