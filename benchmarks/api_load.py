"""What the web API bears: many clients on `/solve` for minutes, beside the same team in-process.

Composes a lab in a temporary home (version 1 registered, `--memories` experiences), serves it with
gunicorn on loopback, lets `--clients` ask the benchmark's questions of the deciding half one after
the other for `--seconds`, and prints errors, throughput, latencies, and the memory of the workers
as it goes. Then the same team answers the same questions in one process, one by one and from as
many threads as the API uses. Clients and server share the cores.

    taskset -c 0,1 python benchmarks/api_load.py
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from solve_latency import remember

from dreamlab.api.solving import AT_ONCE
from dreamlab.lab import Lab, open_lab
from dreamlab.orchestration import learning
from dreamlab.orchestration.services import answers, free_port
from dreamlab.settings import load_settings

APPLICATION = """
from flask import Flask
from dreamlab.integration import init_dream_lab
app = Flask(__name__)
dream_team, dream_scheduler = init_dream_lab(app)
"""
PATH = "/api/dream_lab"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--memories", type=int, default=600, help="experiences in memory")
    parser.add_argument("--home", type=Path, help="a lab's home: its champion and memories instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = options.home or Path(folder) / "home"
        lab = open_lab(load_settings(home=home, threads=1))
        if not options.home:
            learning.ensure_first_version(lab)
            remember(lab, lab.everyday_team, options.memories)
        questions = [q.question for q in lab.benchmark.half("decide")]
        print(f"{len(os.sched_getaffinity(0))} cores, {len(questions)} questions")
        served(Path(folder), home, questions, options)
        in_process(lab, questions, min(options.seconds, 30.0))


def served(folder: Path, home: Path, questions: list[str], options: argparse.Namespace) -> None:
    """Measure the API under gunicorn."""
    (folder / "host.py").write_text(APPLICATION)
    port = free_port()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", f"--workers={options.workers}"),
            *(f"--threads={options.threads}", "--timeout=120", f"--bind=127.0.0.1:{port}"),
            *("--no-control-socket", "--keep-alive=75", "--log-level=error", "host:app"),
        ],
        cwd=folder,
        env={
            **os.environ,
            "DREAMLAB_HOME": str(home),
            "DREAMLAB_AUTO_SCHEDULE_DREAMS": "false",
            "DREAMLAB_API_RATE_LIMIT": "1000000/second",
            "DREAMLAB_THREADS": "1",
        },
    )
    try:
        deadline = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}{PATH}/status"):
            if time.monotonic() > deadline:
                raise SystemExit("the server does not come up")
            time.sleep(0.2)
        load(port, questions, options.clients, 0.0, rounds=4)  # every worker loads its models
        memory: list[float] = []
        done = threading.Event()
        watcher = threading.Thread(target=watch, args=(server.pid, memory, done))
        watcher.start()
        began = time.perf_counter()
        statuses, seconds = load(port, questions, options.clients, options.seconds)
        spent = time.perf_counter() - began
        done.set()
        watcher.join()
        name = f"{options.clients} clients, {options.workers} workers x {options.threads} threads"
        report(f"HTTP, {name}", seconds, spent)
        print(f"  answers by status: {dict(statuses)}")
        quarters = [memory[i * (len(memory) - 1) // 4] for i in range(5)]
        print(f"  MB of all workers, in quarters: {', '.join(f'{m:.0f}' for m in quarters)}")
    finally:
        server.terminate()
        server.wait(60)


def load(
    port: int, questions: list[str], clients: int, seconds: float, rounds: int = 0
) -> tuple[Counter[str], list[float]]:
    """Statuses and seconds of the answers to clients that each ask without a pause."""
    until = time.monotonic() + seconds

    def client(number: int) -> tuple[Counter[str], list[float]]:
        statuses: Counter[str] = Counter()
        spent: list[float] = []
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for asked, question in enumerate(turn(questions, number)):
            if asked >= rounds and time.monotonic() >= until:
                break
            body = json.dumps({"task": question})
            began = time.perf_counter()
            try:
                connection.request(
                    "POST", f"{PATH}/solve", body, {"Content-Type": "application/json"}
                )
                reply = connection.getresponse()
                whole = json.loads(reply.read())
                good = reply.status == 200 and bool(whole["text"])
                statuses["200" if good else f"{reply.status} {whole.get('error')}"] += 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                statuses[type(error).__name__] += 1
                connection.close()
            spent.append(time.perf_counter() - began)
        connection.close()
        return statuses, spent

    with ThreadPoolExecutor(clients) as threads:
        results = list(threads.map(client, range(clients)))
    total: Counter[str] = sum((statuses for statuses, _ in results), Counter())
    return total, [s for _, spent in results for s in spent]


def turn(questions: list[str], number: int) -> Iterator[str]:
    """The questions over and over, each client beginning elsewhere."""
    start = number * 7 % len(questions)
    return itertools.cycle(questions[start:] + questions[:start])


def watch(pid: int, memory: list[float], done: threading.Event) -> None:
    """Note the private memory of the server's workers every second, in MB."""
    while not done.wait(1):
        workers = psutil.Process(pid).children(recursive=True)
        memory.append(sum(w.memory_full_info().uss for w in workers) / 2**20)


def in_process(lab: Lab, questions: list[str], seconds: float) -> None:
    """Measure the same team without a web server."""
    for threads in (1, AT_ONCE):
        until = time.monotonic() + seconds

        def asker(number: int, until: float = until) -> list[float]:
            spent = []
            for question in turn(questions, number):
                if time.monotonic() >= until:
                    break
                spent.append(timed(lambda: lab.solve(question)))  # noqa: B023
            return spent

        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            times = [s for spent in pool.map(asker, range(threads)) for s in spent]
        report(f"in-process, {threads} at once", times, time.perf_counter() - began)


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def report(name: str, seconds: list[float], spent: float) -> None:
    """Print throughput and latencies."""
    cuts = statistics.quantiles([1000 * s for s in seconds], n=100, method="inclusive")
    print(
        f"{name}: {len(seconds)} answers, {len(seconds) / spent:.1f} a second, "
        f"p50 {cuts[49]:.0f} ms, p95 {cuts[94]:.0f} ms, p99 {cuts[98]:.0f} ms"
    )


if __name__ == "__main__":
    main()
