"""Tasks deferred to the night: files in the home folder, answered once each, in order of arrival.

A task waits as a file until its answer is on disk; a killed run leaves it waiting, and an answer
that is there is not made again. A question waits as it was asked and is kept, once answered, with
personal data masked. Who may work the queue off, and when, is not decided here.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dreamlab.errors import StorageError
from dreamlab.files import write_atomic
from dreamlab.lab import Lab
from dreamlab.models.language import clean
from dreamlab.records import from_json, to_json

WAITING, ANSWERED = "waiting", "answered"


@dataclass(frozen=True, slots=True)
class Deferred:
    """A question that waits for the night, or was answered in it. `id` sorts by arrival."""

    id: str
    question: str
    added_at: datetime
    answered_at: datetime | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class WorkedOff:
    """What a run did about the queue; `stopped` is the reason code that ended it early."""

    answered: int
    waiting: int
    stopped: str = ""


def add(lab: Lab, question: str) -> Deferred:
    """Defer a question to the night.

    Raises:
        QuestionError: it is empty or too long.
        StorageError: the home folder cannot be written.
    """
    question = clean(question.encode("utf-8", "replace").decode())
    now = lab.now()
    task = Deferred(f"{now:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:6]}", question, now)
    lab.check_home()
    write_atomic(_path(lab, WAITING, task.id), to_json(task))
    return task


def waiting(lab: Lab) -> list[Deferred]:
    """The tasks that wait, the oldest first."""
    done = {task.id for task in answered(lab)}
    return [task for task in _read(lab, WAITING) if task.id not in done]


def answered(lab: Lab) -> list[Deferred]:
    """The tasks that were answered, the oldest first."""
    return _read(lab, ANSWERED)


def keep(lab: Lab, task: Deferred, text: str) -> None:
    """Write the answer down, the question masked, then let the task go."""
    done = Deferred(task.id, lab.mask(task.question), task.added_at, lab.now(), text)
    write_atomic(_path(lab, ANSWERED, task.id), to_json(done))
    _path(lab, WAITING, task.id).unlink(missing_ok=True)


def remove(lab: Lab, task_id: str) -> None:
    """Let a task go for good, waiting or answered."""
    for state in (WAITING, ANSWERED):
        _path(lab, state, task_id).unlink(missing_ok=True)


def _path(lab: Lab, state: str, task_id: str) -> Path:
    return lab.settings.home / "queue" / state / f"{task_id}.json"


def _read(lab: Lab, state: str) -> list[Deferred]:
    tasks = []
    for path in sorted((lab.settings.home / "queue" / state).glob("*.json")):
        try:
            tasks.append(from_json(Deferred, path.read_bytes()))
        except FileNotFoundError:
            continue  # answered since it was listed
        except ValueError:
            raise StorageError(f"{path} is damaged; remove it, the others are kept") from None
    return tasks
