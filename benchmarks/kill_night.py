"""Does a whole night survive `kill -9`? Kills it at random moments and runs it again each time.

    python benchmarks/kill_night.py --kills 10 --seed 0

Lives one night (120 dreams, then a fine-tuning) unbroken in one home and killed in another, and
compares them: no row lost or doubled, the same tasks verified, the same dataset and verdict.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from dreamlab.lab import Lab
from dreamlab.orchestration import dreaming, learning
from dreamlab.settings import load_settings

COMMAND = [sys.executable, "-m", "dreamlab", "night", "--force"]


def main() -> None:
    """Live both nights and compare them; exit 1 if they differ."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="dreamlab-kill-"))
    started = time.monotonic()
    subprocess.run(COMMAND, env=environment(root / "unbroken"), check=True, capture_output=True)
    whole = time.monotonic() - started
    rng = random.Random(options.seed)
    for kill in range(options.kills):
        child = subprocess.Popen(
            COMMAND,
            env=environment(root / "broken"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        after = rng.uniform(2, max(6, 2 * whole / options.kills))
        try:
            child.wait(after)
            print(f"kill {kill + 1}: already finished")
            break
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            print(f"kill {kill + 1} after {after:.1f} s", flush=True)
    subprocess.run(COMMAND, env=environment(root / "broken"), check=False, capture_output=True)
    found = {name: summary(root / name) for name in ("unbroken", "broken")}
    for name, facts in found.items():
        print(name, facts)
    sys.exit(found["unbroken"] != found["broken"])


def environment(home: Path) -> dict[str, str]:
    """This environment with another home."""
    return {**os.environ, "DREAMLAB_HOME": str(home)}


def summary(home: Path) -> dict[str, object]:
    """What must not depend on being killed."""
    lab = Lab(load_settings(home=home))
    experiences = lab.memory.experiences()
    twice = [key for key, n in Counter(e.id for e in experiences).items() if n > 1]
    report = dreaming.last_manifest(lab)
    training = learning.reports(lab)[-1]
    return {
        "rows": len(experiences),
        "doubled": twice,
        "verified": report.verified if report else None,
        "notes": len(lab.memory.reflections()),
        "dataset": training.training.dataset[:12],
        "version": training.version,
        "versions": len(lab.registry.versions()),
        "won": training.verdict.reasons[1] if training.verdict else "",
    }


if __name__ == "__main__":
    main()
