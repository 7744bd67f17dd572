"""What Prefect adds to a night: 120 dreams as a flow run, against the same core calls in a loop.

    taskset -c 0,1 python benchmarks/orchestration_overhead.py --rounds 3

One process with warm models lives nights by turns through a Prefect server on this machine (started
first, not counted) and plainly, each in a home of its own with the same seed, and compares the time
of the nights and what they remember; CPU seconds hold on a busy machine, too. Version 1 is
registered beforehand.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from dreamlab.lab import Lab
from dreamlab.orchestration import learning, services, tasks
from dreamlab.settings import load_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dreams", type=int, default=120)
    options = parser.parse_args()
    os.environ.pop("PREFECT_API_URL", None)
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before the start")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        first = Lab(load_settings(home=root / "first"))
        learning.ensure_first_version(first)
        server = services.prefect_server(first.settings)
        server.start()
        try:
            times: dict[str, list[tuple[float, float]]] = {"plain": [], "prefect": []}
            kept: dict[str, object] = {}
            live(first, root / "warm", server.url, "plain", 12)
            for round_ in range(options.rounds):
                order = ("plain", "prefect") if round_ % 2 else ("prefect", "plain")
                for kind in order:
                    home = root / f"{kind}{round_}"
                    spent, kept[kind] = live(first, home, server.url, kind, options.dreams)
                    times[kind].append(spent)
                    print(f"{kind:8} {spent[0]:6.1f} s, {spent[1]:6.1f} s of CPU", flush=True)
                assert kept["plain"] == kept["prefect"], "the nights differ"
        finally:
            server.stop()
    for place, name in enumerate(("wall-clock", "CPU of the process")):
        plain, prefect = (statistics.median(t[place] for t in times[k]) for k in times)
        print(f"{name}, median: plain {plain:.1f} s, Prefect {prefect:.1f} s: ", end="")
        print(f"{prefect / plain - 1:+.1%}")


def live(
    first: Lab, home: Path, url: str, kind: str, dreams: int
) -> tuple[tuple[float, float], object]:
    """Seconds of one night's dreams, by the clock and of CPU, and what it remembered."""
    for kept in ("evaluations", "cache"):
        source = first.settings.home / kept
        if source.exists():
            shutil.copytree(source, home / kept)
    lab = Lab(load_settings(home=home), first.now)
    for part in ("embedder", "catalog", "phrases", "benchmark", "evidence"):
        lab.__dict__[part] = getattr(first, part)
    learning.ensure_first_version(lab)
    lab.night_team("1", "warm")
    tasks.use_lab(lab)
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.dream_session import dream_session

    logging.disable(logging.WARNING)
    api = f"{url}/api" if kind == "prefect" else None
    with temporary_settings({PREFECT_API_URL: api}):
        started, used = time.perf_counter(), time.process_time()
        tasks.run_flow(dream_session, count=dreams, strategy="breadth", seed=1, force=True)
        spent = time.perf_counter() - started, time.process_time() - used
    return spent, [(e.task.id, e.verified) for e in lab.memory.experiences()]


if __name__ == "__main__":
    main()
