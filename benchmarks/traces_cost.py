"""What traces cost: the time they add to a solve, and the time to send them to MLflow.

    python benchmarks/traces_cost.py [--home DIR] [--repeat 200]

Solves a question once, leaves its trace again and again, and sends all of them to a fresh MLflow
on SQLite in a temporary folder. With --home the version registered there takes part.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from dreamlab.lab import Lab
from dreamlab.orchestration.traces import send_waiting
from dreamlab.settings import load_settings
from dreamlab.tracing import leave, trace_of

QUESTION = "Where can my dad get a hot meal in Delano? He is 70"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, help="default: a temporary folder")
    parser.add_argument("--repeat", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        lab = Lab(load_settings(home=options.home or scratch, traces="off"))
        solved = lab.solve(QUESTION)
        folder = Path(scratch) / "sent"
        sender = Lab(load_settings(home=folder))
        added = []
        for number in range(options.repeat):
            task = replace(solved.task, id=f"q{number}")
            began = time.perf_counter()
            trace = trace_of(replace(solved, task=task))
            leave(sender.settings.traces_path, trace)
            added.append((time.perf_counter() - began) * 1000)
        cuts = statistics.quantiles(added, n=20)
        print(f"added to a solve: p50 {cuts[9]:.2f} ms, p95 {cuts[18]:.2f} ms, of {len(added)}")
        sender.registry.log_traces("warm", [trace])
        began = time.perf_counter()
        sent = send_waiting(sender)
        each = (time.perf_counter() - began) * 1000 / sent
        print(f"sending, elsewhere or at night: {each:.0f} ms a trace of {len(trace.spans)} spans")


if __name__ == "__main__":
    main()
