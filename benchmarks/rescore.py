"""What versions that nights registered are worth by the code of today, beside what they were then.

    python benchmarks/rescore.py [--no-projection] runs/aimed-0 runs/aimed-1 runs/aimed-2

Each folder is one that `dreamlab nights` lived in; nothing in it is changed. Prints Markdown for
both halves of the benchmark: the last version of each course then and today, as means over the
courses, by how much it changed, and what today's is ahead of dense retrieval, both question by
question with 95 % bootstrap intervals (2,000 resamples of the questions). `--no-projection` leaves
out what the versions learnt of retrieval.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from arms import difference

from dreamlab.lab import Lab
from dreamlab.orchestration import learning
from dreamlab.orchestration.experiments import COURSE, Course
from dreamlab.records import Evaluation, Score, TaskKind, from_json
from dreamlab.settings import load_settings
from dreamlab.training.evaluate import evaluate

Chosen = Callable[[Score], bool]
Value = Callable[[Score], float]

FIGURES: dict[str, tuple[Chosen, Value]] = {
    "generated, F1": (lambda s: s.source == "generated", lambda s: s.f1),
    "natural, F1": (lambda s: s.source == "natural", lambda s: s.f1),
    "natural, success": (
        lambda s: s.source == "natural" and s.kind not in (TaskKind.NONE, TaskKind.FACT),
        lambda s: float(s.right),
    ),
    "natural, refusals": (
        lambda s: s.source == "natural" and s.kind is TaskKind.NONE,
        lambda s: float(s.right),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="where nights were lived")
    parser.add_argument("--no-projection", action="store_true", help="leave retrieval unlearnt")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as empty:
        lab = Lab(load_settings(home=empty))
        found = (rescored(folder, lab, not given.no_projection) for folder in given.folders)
        then, now, dense = zip(*found, strict=True)
    print("| half | figure | then | today | today - then | dense | today - dense |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for half in ("decide", "report"):
        for name, (chosen, value) in FIGURES.items():
            before, after, nearest = (
                np.mean([values(e, half, chosen, value) for e in found], axis=0)
                for found in (then, now, dense)
            )
            print(
                f"| {half} | {name} | {before.mean():.3f} | {after.mean():.3f} "
                f"| {difference(after - before)} | {nearest.mean():.3f} "
                f"| {difference(after - nearest)} |"
            )


def rescored(
    folder: Path, lab: Lab, projected: bool = True
) -> tuple[Evaluation, Evaluation, Evaluation]:
    """Of a course's last version the evaluation kept then and one of today, made in another lab,
    and dense retrieval's; `projected`: with what the version learnt of retrieval."""
    course = from_json(Course, (folder / COURSE).read_bytes())
    lived = Lab(load_settings(home=folder))
    key = lived.registry.version(int(course.nights[-1].version)).key
    base = lab.base_from(folder / "training" / key / learning.ADAPTER, key)
    base.projection = base.projection if projected else None
    today = evaluate(learning.BASE, base.propose, lab.benchmark.questions, lab.catalog, key)
    return (
        learning.kept_evaluation(lived, learning.BASE, key),
        today,
        learning.kept_evaluation(lived, learning.DENSE, ""),
    )


def values(found: Evaluation, half: str, chosen: Chosen, value: Value) -> list[float]:
    """A figure of each question of a half, in the order of their ids."""
    scores: Sequence[Score] = sorted(found.only(half=half).scores, key=lambda s: s.question_id)
    return [value(s) for s in scores if chosen(s)]


if __name__ == "__main__":
    main()
