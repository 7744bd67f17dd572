"""How long the team takes for one question in a warm process, and where the time goes.

Composes a lab as an installation does (embedded encoder, base model as it was before any
training, a memory of `--memories` experiences) in a temporary home, asks it the benchmark
questions of the deciding half one by one, each once, and prints p50 and p95 in milliseconds.

    taskset -c 0,1 python benchmarks/solve_latency.py
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dreamlab.agents.team import Team
from dreamlab.lab import Lab, open_lab
from dreamlab.records import Experience, Task
from dreamlab.settings import load_settings

BAR = 150.0
"""Milliseconds that the median may take on two cores."""

PARTS = (
    ("embed", "embedder", "embed"),
    ("base", "base", "propose"),
    ("lookup", "resource", "find"),
    ("dense", "search", "dense"),
    ("full text", "search", "full_text"),
    ("recall", "search", "remember"),
    ("render", "", "_written"),
    ("understand", "reader", "read"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", type=int, default=600, help="experiences in memory")
    parser.add_argument("--no-base", action="store_true", help="a team without a base model")
    parser.add_argument("--home", type=Path, help="a lab's home: its champion and memories instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        lab = open_lab(load_settings(home=options.home or Path(home)))
        started = time.perf_counter()
        base = lab.base() if options.home else lab.base_from(None, "1")
        team = lab.team(None if options.no_base else base)
        print(f"team made in {time.perf_counter() - started:.1f} s")
        if not options.home:
            remember(lab, team, options.memories)
        questions = [q.question for q in lab.benchmark.half("decide")]
        for question in questions[:5]:
            team.solve(Task("warm", f"{question} again"))
        report(*measure(lab, team, questions), questions=len(questions))


def remember(lab: Lab, team: Team, count: int) -> None:
    """Fill the memory with experiences made of generated benchmark questions, over and over."""
    asked = [q.question for q in lab.benchmark.questions if q.source == "generated"]
    texts = [f"{asked[i % len(asked)]} ({i})" for i in range(count)]
    tasks = [Task(f"t{i:05d}", text, night="2020-01-01") for i, text in enumerate(texts)]
    answers = team.solve_many(tasks[: len(asked)])
    now = datetime.now(UTC)
    lab.memory.append(
        Experience(task, answers[i % len(answers)], now, verified=True)
        for i, task in enumerate(tasks)
    )
    lab.memory.optimize()


def measure(
    lab: Lab, team: Team, questions: list[str]
) -> tuple[list[float], dict[str, list[float]]]:
    """Milliseconds of each question as a whole, and of each part of it."""
    spent: dict[str, float] = defaultdict(float)
    owners: dict[str, Any] = {
        "embedder": lab.embedder,
        "": team,
        **{name: getattr(team, name) for name in ("base", "resource", "search", "reader")},
    }
    for part, owner, method in PARTS:
        if owners[owner] is not None:
            setattr(owners[owner], method, timed(getattr(owners[owner], method), part, spent))
    totals, parts = [], defaultdict(list)
    for i, question in enumerate(questions):
        spent.clear()
        begun = time.perf_counter()
        team.solve(Task(f"q{i}", question))
        totals.append(1000 * (time.perf_counter() - begun))
        for part, _, _ in PARTS:
            parts[part].append(1000 * spent[part])
    return totals, parts


def timed(call: Callable[..., Any], part: str, spent: dict[str, float]) -> Callable[..., Any]:
    """The call, its seconds added to its part; what it calls of other parts is not its own."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        before, begun = sum(spent.values()), time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            inner = sum(spent.values()) - before
            spent[part] += time.perf_counter() - begun - inner

    return wrapped


def report(totals: list[float], parts: dict[str, list[float]], questions: int) -> None:
    """Print the table and whether the bar is met."""
    print(f"{questions} questions, milliseconds\n{'':12}{'p50':>8}{'p95':>8}{'share':>8}")
    for name, values in {"solve": totals, **parts}.items():
        share = sum(values) / sum(totals)
        print(f"{name:12}{quantile(values, 50):8.1f}{quantile(values, 95):8.1f}{share:8.0%}")
    rest = 1 - sum(sum(values) for values in parts.values()) / sum(totals)
    print(f"{'the rest':12}{'':16}{rest:8.0%}")
    met = quantile(totals, 50) <= BAR
    print(f"p50 {'is within' if met else 'MISSES'} {BAR:.0f} ms")


def quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
