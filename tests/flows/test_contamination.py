"""No benchmark question, nor a near paraphrase of one, is in a training set."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from dreamlab.lab import Lab
from dreamlab.orchestration import dreaming, learning
from dreamlab.records import Answer, Experience, Referral, Role, Task, TaskKind
from dreamlab.training.benchmark import SAME_MEANING
from dreamlab.training.examples import DATASET
from tests.flows.conftest import NIGHT, Opening

DISTANCE = re.compile(r"(?:^|(?<= ))(?:near|dim|far) ")
"""The last word of the evidence before a question."""


def trained_on(lab: Lab, key: str) -> list[str]:
    """The questions of a dataset, without the evidence before them."""
    lines = (lab.settings.training_data_path / key / DATASET).read_text().splitlines()
    return [json.loads(line)["prompt"] for line in lines]


def remembered(task: Task) -> Experience:
    """A task that the team got right."""
    assert task.expected is not None
    return Experience(task, (Answer(Role.TEAM, task.expected),), NIGHT, verified=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, opening: Opening) -> Lab:
    """A lab with its whole benchmark that remembers a whole night's dreams as if all were right."""
    lab = opening(tmp_path_factory.mktemp("home"), dream_task_count=120)
    learning.ensure_first_version(lab)  # on the slice of `opening`
    del lab.__dict__["benchmark"]
    plan = dreaming.plan_night(lab)
    lab.memory.append([remembered(task) for task in plan.tasks if task.expected])
    return lab


def test_no_row_of_a_training_is_near_to_a_benchmark_question(lab: Lab) -> None:
    training = learning.gather(lab)
    prompts = trained_on(lab, training.key)
    assert len(prompts) > 900
    asked = [question.question for question in lab.benchmark.questions]
    assert len(asked) > 400
    texts = [DISTANCE.split(prompt, maxsplit=1)[-1] for prompt in prompts]
    nearest = (lab.embedder.embed(texts) @ lab.embedder.embed(asked).T).max(axis=1)
    assert 0.5 < nearest.max() < SAME_MEANING, texts[int(np.argmax(nearest))]
    folded = {" ".join(text.casefold().split()) for text in texts}
    assert not folded & {" ".join(text.casefold().split()) for text in asked}


def test_what_nearly_is_a_benchmark_question_is_never_trained_on(lab: Lab) -> None:
    question = next(q for q in lab.benchmark.questions if q.source == "natural")
    copied = Task(
        "x1",
        f"Hello, {question.question}",
        TaskKind.REFERRAL,
        "2026-11-01-night",
        expected=Referral(needs=(lab.catalog.needs[0],)),
    )
    lab.memory.append([remembered(copied)])
    path: Path = lab.settings.training_data_path
    for unfinished in path.glob("*/training.json"):
        unfinished.unlink()
    training = learning.gather(lab)
    assert training.new > 100
    assert not [p for p in trained_on(lab, training.key) if question.question in p]
