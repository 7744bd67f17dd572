"""The flows, deployed on a small lab: a slice of the benchmark, and a clock that a test sets."""

from datetime import datetime, timedelta
from pathlib import Path

from dreamlab.lab import Lab
from dreamlab.orchestration import tasks
from dreamlab.settings import load_settings
from dreamlab.training.benchmark import Benchmark
from flows.dream_session import dream_session
from flows.finetune_base_model import finetune_base_model
from flows.solve_task import solve_task

__all__ = ["dream_session", "finetune_base_model", "open_small", "set_clock", "solve_task"]


def set_clock(home: Path, now: datetime) -> None:
    """Let the small lab's clock go on from `now`."""
    (home / "clock").write_text(now.isoformat())


def _clock(home: Path) -> datetime:
    path = home / "clock"
    elapsed = datetime.now().timestamp() - path.stat().st_mtime
    return datetime.fromisoformat(path.read_text()) + timedelta(seconds=elapsed)


def open_small(**settings: object) -> Lab:
    made = load_settings(**settings)
    small = Lab(made, lambda: _clock(made.home))
    whole = small.benchmark
    small.__dict__["benchmark"] = Benchmark(whole.questions[::24], whole.hash + "-slice")
    return small


if __name__ != "__main__":
    import os

    if os.environ.get("PREFECT__FLOW_RUN_ID"):
        tasks.use_lab(open_small())
