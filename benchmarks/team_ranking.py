"""How the team without a base model ranks, on the half of the benchmark that decides.

    python benchmarks/team_ranking.py
    python benchmarks/team_ranking.py --weight PLACE=0.25 --weight NEED=0.3

Prints success (an essential service is cited) and F1 for natural questions, for those of them that
name a place, and for generated ones. `--weight` tries other weights of the recommendation
specialist. The half that is only reported is not touched.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from dreamlab.agents.experts import RecommendationSpecialist
from dreamlab.lab import Lab
from dreamlab.models.language import clean
from dreamlab.records import Answer, Task
from dreamlab.settings import Settings
from dreamlab.training.evaluate import evaluate, summarize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weight", action="append", default=[], metavar="NAME=VALUE")
    for given in parser.parse_args().weight:
        name, value = given.split("=")
        if not hasattr(RecommendationSpecialist, name):
            parser.error(f"there is no weight {name}")
        setattr(RecommendationSpecialist, name, float(value))
    with tempfile.TemporaryDirectory() as home:
        lab = Lab(Settings(home=Path(home)))
        team, questions = lab.team(None), lab.benchmark.half("decide")

        def answer(texts: list[str]) -> list[Answer]:
            return [a[0] for a in team.solve_many([Task("t", text) for text in texts])]

        scores = evaluate("team", answer, questions, lab.catalog).scores
        texts = [clean(q.question) for q in questions]
        read = team.reader.read(texts, ["en"] * len(texts), [None] * len(texts))
    placed = {q.id for q, reading in zip(questions, read, strict=True) if reading.places}
    print("| questions | number | success | F1 |\n|---|---|---|---|")
    for name, chosen in (
        ("natural", [s for s in scores if s.source == "natural"]),
        (
            "natural, with a place",
            [s for s in scores if s.source == "natural" and s.question_id in placed],
        ),
        ("generated", [s for s in scores if s.source == "generated"]),
    ):
        figures = summarize(chosen)
        print(f"| {name} | {len(chosen)} | {figures.success.value:.3f} | {figures.f1.value:.3f} |")


if __name__ == "__main__":
    main()
