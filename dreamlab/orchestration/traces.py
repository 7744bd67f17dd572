"""Sending traces to MLflow: those of questions, which wait in a folder, and those of dreams."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from dreamlab.lab import Lab
from dreamlab.records import Experience
from dreamlab.tracing import trace_id, trace_of, waiting, withdraw
from dreamlab.training.registry import NIGHTS, QUESTIONS


def send_waiting(lab: Lab) -> int:
    """Send the traces that wait; returns how many. One that was sent waits no longer.

    Raises:
        RegistryError: MLflow refuses or cannot be reached; what is not sent waits on.
    """
    sent = 0
    for path, trace in waiting(lab.settings.traces_path):
        if trace is None:
            logging.getLogger(__name__).warning("a damaged trace is dropped: %s", path)
        else:
            sent += lab.registry.log_traces(QUESTIONS, [trace])
        path.unlink(missing_ok=True)
    return sent


def send_dreams(lab: Lab, night: str, run_id: str) -> int:
    """Send the traces of a night's dreams, linked to its run; returns how many.

    Raises:
        RegistryError: MLflow refuses or cannot be reached.
    """
    if lab.settings.traces != "all":
        return 0
    experiences = lab.memory.experiences(night=night)
    return lab.registry.log_traces(NIGHTS, map(trace_of, experiences), run_id)


def forget_traces(lab: Lab, experiences: Iterable[Experience]) -> None:
    """Remove the traces of these experiences, those that wait and those that MLflow has.

    Raises:
        RegistryError: MLflow refuses or cannot be reached.
    """
    ids = [trace_id(experience) for experience in experiences]
    for id_ in ids:
        withdraw(lab.settings.traces_path, id_)
    lab.registry.delete_traces(ids)
