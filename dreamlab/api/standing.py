"""How the lab stands, as the web API says it: from files where it can, and never with a path."""

from __future__ import annotations

from dreamlab import __version__
from dreamlab.api.problems import Problem
from dreamlab.api.shapes import (
    NightShape,
    Status,
    TrainingStats,
    TriggerRequest,
    VersionShape,
    WindowShape,
)
from dreamlab.hosting.scheduler import DreamScheduler
from dreamlab.lab import Lab
from dreamlab.orchestration import dreaming, learning


def status(lab: Lab, scheduler: DreamScheduler) -> Status:
    """How the lab stands. It opens no model and no memory."""
    lab.refresh()
    settings, now = lab.settings, lab.now()
    window = dreaming.window_of(lab)
    last, champion = dreaming.last_manifest(lab), lab.registry.champion()
    return Status(
        dreamlab=__version__,
        directory=lab.catalog.name,
        services=len(lab.catalog),
        window=WindowShape(
            start_hour=settings.downtime_start_hour,
            end_hour=settings.downtime_end_hour,
            time_zone=settings.time_zone,
            open=window.contains(now),
            opens_at=window.opens(now),
            closes_at=window.closes(now),
        ),
        schedule=scheduler.scheduled,  # type: ignore[arg-type]
        dream_time=settings.dream_time,
        dreaming=scheduler.dreaming,
        last_night=NightShape(
            night=last.night,
            finished_at=last.finished_at,
            planned=last.planned,
            solved=last.solved,
            verified=last.verified,
            problem=last.problem,
        )
        if last
        else None,
        unfinished=[plan.night for plan in dreaming.unfinished(lab)],
        version=champion.number if champion else None,
    )


def training(lab: Lab, scheduler: DreamScheduler) -> TrainingStats:
    """What has been learnt so far."""
    versions, champion = lab.registry.versions(), lab.registry.champion()
    counts = scheduler.memory_system.store.counts()
    reports = learning.reports(lab)
    last = reports[-1] if reports else None
    return TrainingStats(
        champion=champion.number if champion else None,
        versions=[
            VersionShape(
                number=v.number,
                created=v.created,
                champion=v.champion,
                parent=v.parent,
                night=v.night,
                scores=dict(v.scores),
            )
            for v in versions
        ],
        experiences=counts["experience"],
        verified=counts["verified"],
        examples_needed=lab.settings.min_examples_for_training,
        trainings=len(reports),
        last_result="" if last is None else "registered" if last.version else "rejected",
        last_reasons=list(last.verdict.reasons) if last and last.verdict else [],
    )


def check_facets(lab: Lab, asked: TriggerRequest) -> None:
    """Refuse a need or group that the directory has not got.

    Raises:
        Problem: 422, with the ones that it has.
    """
    for name, value, known in (
        ("need", asked.need, lab.catalog.needs),
        ("group", asked.group, lab.catalog.groups),
    ):
        if value and value not in known:
            raise Problem(
                422, "invalid", f"{name}: the directory has no such {name}", "See openapi.json."
            )
