"""A night killed in the middle, again and again, ends like an unbroken one."""

import signal
import subprocess
import sys
from pathlib import Path

from dreamlab.lab import Lab
from dreamlab.orchestration import dreaming, tasks
from flows.dream_session import dream_session
from tests.flows.conftest import Opening

KEY = "2026-11-22-night"
CHILD = """
import sys
from pathlib import Path
from tests.flows.conftest import NIGHT, Benchmark, Lab, Settings
from dreamlab.orchestration import tasks
from flows.dream_session import dream_session

lab = Lab(Settings(home=Path(sys.argv[1]), dream_task_count=60, dream_strategy="breadth"),
          lambda: NIGHT)
whole = lab.benchmark
lab.__dict__["benchmark"] = Benchmark(whole.questions[::24], whole.hash + "-slice")
lab.progress = lambda what, done, total: print(what, done, flush=True)
tasks.use_lab(lab)
tasks.run_flow(dream_session)
"""


def outcome(lab: Lab) -> list[tuple[str, bool | None, tuple[str, ...]]]:
    return [
        (e.task.id, e.verified, e.answers[0].referral.service_ids)
        for e in lab.memory.experiences(night=KEY)
    ]


def test_a_night_killed_three_times_loses_and_doubles_nothing(
    tmp_path: Path, opening: Opening
) -> None:
    unbroken = opening(tmp_path / "unbroken", dream_task_count=60)
    tasks.use_lab(unbroken)
    whole = tasks.run_flow(dream_session)
    broken = opening(tmp_path / "broken", dream_task_count=60)
    for lines in (2, 3, 2):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(broken.settings.home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert child.stdout is not None
        for _ in range(lines):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert dreaming.manifest(broken, KEY) is None
    subprocess.run([sys.executable, "-c", CHILD, str(broken.settings.home)], check=True)
    assert outcome(broken) == outcome(unbroken)
    report = dreaming.manifest(broken, KEY)
    assert report is not None
    assert report.verified == whole.verified
    assert report.reflections == whole.reflections
