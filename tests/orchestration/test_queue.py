from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dreamlab.errors import QuestionError, StorageError
from dreamlab.lab import Lab
from dreamlab.orchestration import queue
from dreamlab.settings import Settings

NOON = datetime(2026, 11, 23, 20, tzinfo=UTC)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    moments = iter(NOON + timedelta(seconds=n) for n in range(100))
    return Lab(Settings(home=tmp_path), lambda: next(moments))


def test_tasks_wait_in_order_of_arrival(lab: Lab) -> None:
    for question in ("first?", "second?", "third?"):
        queue.add(lab, question)
    assert [t.question for t in queue.waiting(lab)] == ["first?", "second?", "third?"]


def test_an_answered_task_waits_no_longer_and_keeps_its_answer(lab: Lab) -> None:
    task = queue.add(lab, "Where is food?")
    queue.keep(lab, task, "Here.")
    assert queue.waiting(lab) == []
    (done,) = queue.answered(lab)
    assert (done.id, done.question, done.answer) == (task.id, "Where is food?", "Here.")
    assert done.answered_at is not None


def test_a_run_killed_between_answer_and_removal_does_not_answer_twice(lab: Lab) -> None:
    task = queue.add(lab, "Where is food?")
    waiting = lab.settings.home / "queue" / queue.WAITING / f"{task.id}.json"
    kept = waiting.read_bytes()
    queue.keep(lab, task, "Here.")
    waiting.write_bytes(kept)
    assert queue.waiting(lab) == []


@pytest.mark.parametrize("question", ["", "  \n ", "x" * 5_000])
def test_what_cannot_be_asked_is_not_deferred(lab: Lab, question: str) -> None:
    with pytest.raises(QuestionError):
        queue.add(lab, question)
    assert not (lab.settings.home / "queue").exists()


def test_a_damaged_task_is_named(lab: Lab) -> None:
    task = queue.add(lab, "Where is food?")
    path = lab.settings.home / "queue" / queue.WAITING / f"{task.id}.json"
    path.write_text("{")
    with pytest.raises(StorageError, match=task.id):
        queue.waiting(lab)
