"""Several nights in one go: does the base model rise from version to version?

    python benchmarks/nights.py --nights 3 --home DIR

Lives that many nights of 120 dreams, each followed by a fine-tuning, on the same code as a real
night, and prints for every version the figures of the half of the benchmark that is only
reported. A home that holds finished nights is continued.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from dreamlab.cli.common import progress_bars
from dreamlab.lab import Lab
from dreamlab.orchestration import learning, report, tasks
from dreamlab.settings import load_settings
from flows.dream_session import dream_session
from flows.finetune_base_model import finetune_base_model


def main() -> None:
    """Live the nights and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nights", type=int, default=3)
    parser.add_argument("--home", type=Path, help="default: a temporary folder")
    parser.add_argument("--json", type=Path, help="write the reports there as well")
    options = parser.parse_args()
    home = options.home or Path(tempfile.mkdtemp(prefix="dreamlab-"))
    settings = load_settings(home=home)
    first = datetime.now(settings.zone).replace(hour=settings.downtime_start_hour, minute=0)
    lab = Lab(settings)
    tasks.use_lab(lab)
    with progress_bars() as lab.progress:
        for night in range(options.nights):
            began, started = time.monotonic(), first + timedelta(days=night)
            lab.now = lambda began=began, started=started: (
                started + timedelta(seconds=time.monotonic() - began)
            )
            dreams = tasks.run_flow(dream_session)
            took = time.monotonic() - began
            training = tasks.run_flow(finetune_base_model)
            print(report.markdown(dreams, training))
            print(f"dreams {took:.0f} s, training {time.monotonic() - began - took:.0f} s\n")
    found = learning.reports(lab)
    scores = {subject: figures for one in found for subject, figures in one.scores.items()}
    print("\n".join(report.score_table(scores)))
    if options.json:
        options.json.write_text(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
