"""How long `prefect deployment run` of a solve takes to its result, and where the time goes.

    taskset -c 0-3 python benchmarks/deployment_latency.py --runs 20

Has a lab up (`dreamlab up`: server, worker, resident team) in a temporary home, with nothing else
to do, and runs by turns a solve and a flow that does nothing, both deployed on the same work pool.
Prints p50 and p95 of each part in seconds, and the ratio of the medians.

With `--busy dream` or `--busy train` a night's work runs meanwhile: how much longer users wait.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import flow

from dreamlab.lab import open_lab
from dreamlab.orchestration import operating, scheduler
from dreamlab.settings import Settings, load_settings

HERE = Path(__file__).parent
QUESTION = "Where can my dad get a hot meal in Delano? He is 70"
PARTS = ("taken by the worker", "process and imports", "flow run", "all")


@flow(name="nothing")
def nothing() -> None:
    """What any deployed flow costs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--busy", choices=["dream", "train"], help="night work beside the solves")
    options = parser.parse_args()
    os.environ.pop("PREFECT_API_URL", None)
    os.environ["PYTHONPATH"] = str(HERE)
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before the start")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["DREAMLAB_HOME"] = folder
        settings = load_settings()
        with up(settings):
            deploy_nothing(settings)
            for name in ("solve-task", "nothing"):  # warm caches
                measure(settings, name)
            idle = {"solve": [], "nothing": []}
            for _ in range(options.runs):
                idle["solve"].append(measure(settings, "solve-task"))
                idle["nothing"].append(measure(settings, "nothing"))
            report("solve, idle", idle["solve"])
            report("nothing, idle", idle["nothing"])
            both = [statistics.median(t[-1] for t in times) for times in idle.values()]
            print(f"p50 of a solve / p50 of nothing: {both[0] / both[1]:.2f}")
            if options.busy:
                report(f"solve, {options.busy}", busy(settings, options.busy, options.runs))


@contextmanager
def up(settings: Settings) -> Iterator[None]:
    """A lab with everything up, on free ports."""
    place = operating.arrange(settings, 0, 0)
    try:
        operating.start(settings, place, print)
        yield
    finally:
        operating.stop_services(settings)


def deploy_nothing(settings: Settings) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "prefect", "--no-prompt", "deploy"),
            *("deployment_latency.nothing", "--name", "nothing", "--pool", operating.POOL),
        ],
        env={**os.environ, "PREFECT_API_URL": scheduler.api_url(settings)},
        cwd=HERE,
        check=True,
        capture_output=True,
    )


def measure(settings: Settings, name: str) -> tuple[float, ...]:
    """Seconds in each part, of one run from asking for it to its final state."""
    with scheduler.api(settings) as client:
        found = client.read_deployment_by_name(f"{name}/{name}")
        parameters = {"task": QUESTION} if name == "solve-task" else {}
        run = client.create_flow_run_from_deployment(found.id, parameters=parameters)
        while not run.state.is_final():
            time.sleep(0.1)
            run = client.read_flow_run(run.id)
        if not run.state.is_completed():
            raise SystemExit(f"{name} ended in {run.state}")
        states = client.read_flow_run_states(run.id)
    at: dict[str, Any] = {}
    for state in states:
        at.setdefault(state.type.value, state.timestamp)
    marks = [at["SCHEDULED"], at["PENDING"], at["RUNNING"], at["COMPLETED"]]
    spans = [(b - a).total_seconds() for a, b in itertools.pairwise(marks)]
    return (*spans, (marks[-1] - marks[0]).total_seconds())


def busy(settings: Settings, work: str, runs: int) -> list[tuple[float, ...]]:
    """Solves while the lab dreams or trains."""
    if work == "train":
        wait(settings, scheduler.trigger("dream-session", {"force": True}, settings=settings))
    deployment = "dream-session" if work == "dream" else "finetune-base-model"
    parameters: dict[str, Any] = {"force": True, **({"count": 600} if work == "dream" else {})}
    started = scheduler.trigger(deployment, parameters, settings=settings)
    lab = open_lab(settings)
    folder = settings.nights_path if work == "dream" else settings.training_data_path
    while not list(folder.glob("*")):
        time.sleep(0.5)
    times = []
    while len(times) < runs and not ended(settings, started):
        times.append(measure(settings, "solve-task"))
    print(f"{len(times)} solves while {work}; {len(lab.memory.experiences())} dreams remembered")
    return times


def wait(settings: Settings, started: scheduler.Started) -> None:
    while not ended(settings, started):
        time.sleep(1)


def ended(settings: Settings, started: scheduler.Started) -> bool:
    with scheduler.api(settings) as client:
        return bool(client.read_flow_run(started.run_id).state.is_final())


def report(name: str, times: list[tuple[float, ...]]) -> None:
    print(f"\n{name}: {len(times)} runs, seconds")
    for part, spent in zip(PARTS, zip(*times, strict=True), strict=True):
        p95 = sorted(spent)[max(0, round(0.95 * len(spent)) - 1)]
        print(f"  {part:22} p50 {statistics.median(spent):6.2f}   p95 {p95:6.2f}")


if __name__ == "__main__":
    main()
