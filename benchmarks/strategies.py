"""Supervised fine-tuning against preference and reinforcement training at equal tokens.

    python benchmarks/strategies.py --home DIR --json FILE [--night 1] [--seeds 0 1 2]

DIR is a home with finished nights, such as `dreamlab nights --folder DIR` leaves; it is only
read. Each strategy trains on the same verified dreams of one night (earlier ones replayed), from
the champion of the night before, on as many tokens, and answers the half of the benchmark that
decides; the other half is not looked at. Results are appended to FILE, and what is there already
is not run again. The differences are paired by question, averaged over the seeds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from dreamt import Dreamt, dreamt, nights_of

from dreamlab.agents.base import BaseModel
from dreamlab.exploration.reward import Checked
from dreamlab.lab import Lab
from dreamlab.models.decoder import load_decoder
from dreamlab.models.evidence import Clue
from dreamlab.records import Question
from dreamlab.settings import load_settings
from dreamlab.training import examples
from dreamlab.training.evaluate import bootstrap_interval, score
from dreamlab.training.finetune import STRATEGIES, finetune
from dreamlab.training.preference import with_rejected

Result = Mapping[str, Any]


def main() -> None:
    """Run what is missing and print the table of all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--night", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES))
    parser.add_argument("--wordings", type=int, default=10)
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    setting = {"night": options.night, "wordings": options.wordings, "epochs": options.epochs}
    lab = Lab(
        load_settings(home=options.home, threads=options.threads, training_epochs=options.epochs)
    )
    base = BaseModel(None, lab.format, lab.catalog, "", lab.evidence)
    nights = nights_of(lab)[: options.night]
    asked = lab.benchmark.half("decide")
    clues = lab.evidence.read([q.question for q in asked])
    learnt = dreamt(lab, nights, options.wordings)
    for seed in options.seeds:
        for strategy in options.strategies:
            this = {**setting, "strategy": strategy, "seed": seed}
            if any(this.items() <= found.items() for found in results(options.json)):
                continue
            found = run(lab, base, learnt, parent_of(lab, nights), strategy, seed, asked, clues)
            with options.json.open("a") as file:
                file.write(json.dumps({**this, **found}) + "\n")
            print(strategy, seed, found["tokens"], f"{found['seconds']:.0f} s", flush=True)
    table([r for r in results(options.json) if setting.items() <= r.items()], asked)


def results(path: Path) -> list[Result]:
    """What is known."""
    return [json.loads(line) for line in path.open()] if path.exists() else []


def parent_of(lab: Lab, nights: Sequence[str]) -> Path | None:
    """The adapter of the newest version that was trained before the last of these nights."""
    before = [v for v in lab.registry.versions() if not v.untouched and v.key < nights[-1]]
    return lab.adapter(before[-1].number) if before else None


def run(
    lab: Lab,
    base: BaseModel,
    learnt: Sequence[Dreamt],
    parent: Path | None,
    strategy: str,
    seed: int,
    asked: Sequence[Question],
    clues: Sequence[Clue],
) -> dict[str, Any]:
    """Train with one strategy, and what came of it, question by question."""
    with tempfile.TemporaryDirectory(prefix="dreamlab-") as folder:
        began = time.monotonic()
        chosen = [row.example for row in learnt]
        rows = examples.rows(chosen, "completion", lab.format.encode)
        trained = finetune(
            with_rejected(rows, chosen, lab.format),
            base_model=lab.settings.base_model,
            format=lab.format,
            settings=lab.settings,
            folder=Path(folder) / "adapter",
            parent=parent,
            seed=seed,
            strategy=strategy,
            reward=Checked(base, lab.evidence),
        )
        took = time.monotonic() - began
        decoder = load_decoder(lab.settings.base_model, trained.folder, lab.format, lab.settings)
    written = decoder.complete([clue.prompt for clue in clues])
    scores = [
        score(q, base.execute(q.question, completion, clue), lab.catalog)
        for q, clue, completion in zip(asked, clues, written, strict=True)
    ]
    return {
        "steps": trained.steps,
        "tokens": trained.history[-1]["tokens"],
        "seconds": took,
        "f1": {s.question_id: round(s.f1, 4) for s in scores},
        "right": {s.question_id: s.right for s in scores},
    }


def table(found: Sequence[Result], asked: Sequence[Question]) -> None:
    """Print each strategy's means over the seeds, and its differences from `sft`."""
    print("| strategy | seeds | source | F1 | against sft | right | against sft | tokens | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for strategy in dict.fromkeys(r["strategy"] for r in found):
        mine = {r["seed"]: r for r in found if r["strategy"] == strategy}
        sft = {r["seed"]: r for r in found if r["strategy"] == "sft"}
        seeds = sorted(mine.keys() & sft.keys())
        if not seeds:
            continue
        spent = [f"{fmean(mine[s][name] for s in seeds):.0f}" for name in ("tokens", "seconds")]
        for source in ("generated", "natural"):
            ids = [q.id for q in asked if q.source == source]
            cells = [strategy, str(len(seeds)), source]
            for name in ("f1", "right"):
                cells.append(f"{fmean(mine[s][name][i] for s in seeds for i in ids):.3f}")
                changes = [fmean(mine[s][name][i] - sft[s][name][i] for s in seeds) for i in ids]
                low, high = bootstrap_interval(changes)
                cells.append(f"{fmean(changes):+.3f} [{low:+.3f}, {high:+.3f}]")
            print(f"| {' | '.join([*cells, *spent])} |")


if __name__ == "__main__":
    main()
