"""Commands that live a night, or half of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dreamlab.cli.common import as_json, forced, show, show_markdown, show_table, with_lab

if TYPE_CHECKING:
    from dreamlab.lab import Lab


def flow_of(name: str) -> Any:
    """One of the flows, which are no part of the command line."""
    import importlib

    return getattr(importlib.import_module(f"flows.{name}"), name)


def run(lab: Lab, flow_name: str, **parameters: Any) -> Any:
    """Run one of the flows on this lab."""
    from dreamlab.orchestration import tasks

    tasks.use_lab(lab)
    return tasks.run_flow(flow_of(flow_name), **parameters)


def live_plainly(lab: Lab, seed: int) -> tuple[Any, Any]:
    """One night of an experiment: the flows as functions, whatever server is configured.

    A night that was killed after its dreams goes on with its training.
    """
    from dreamlab.orchestration import dreaming, tasks

    tasks.use_lab(lab)
    dreams = dreaming.tonight(lab) or flow_of("dream_session").fn(seed=seed)
    return dreams, flow_of("finetune_base_model").fn(seed=seed)


def dream_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose a night's dreams."""
    for option in reversed(
        [
            click.option("--count", type=click.IntRange(1), help="Dreams; default: the setting."),
            click.option(
                "--strategy",
                type=click.Choice(["curriculum", "breadth", "random"]),
                help="How dreams are chosen; default: the setting.",
            ),
            click.option("--need", default="", help="Dream of this need only."),
            click.option("--group", default="", help="Dream of this group only."),
            click.option("--seed", type=int, help="Reproduces a night."),
            click.option("--again", is_flag=True, help="Dream another night after tonight's."),
        ]
    ):
        command = option(command)
    return command


@click.command()
@dream_options
@forced
@as_json
@with_lab
def night(lab: Lab, json_: bool, force: bool, **options: Any) -> None:
    """Live one whole night: dream, fine-tune, and show what changed.

    A night that was stopped or killed is resumed where it was.
    """
    from dreamlab.orchestration import dreaming, report

    dreams = None if options["again"] else dreaming.tonight(lab)
    if dreams:
        click.echo(f"Night {dreams.night} is dreamt already (--again: another one).", err=True)
    else:
        dreams = run(lab, "dream_session", force=force, **options)
    training = run(lab, "finetune_base_model", force=force)
    if json_:
        show({"dreams": dreams, "training": training})
        return
    show_markdown(report.markdown(dreams, training))
    show_markdown(report.before_and_after(lab, training))


@click.command()
@dream_options
@forced
@as_json
@with_lab
def dream(lab: Lab, json_: bool, force: bool, **options: Any) -> None:
    """Dream tonight's tasks: invent, solve, check, reflect, remember."""
    from dreamlab.orchestration import report

    dreams = run(lab, "dream_session", force=force, **options)
    show(dreams) if json_ else show_markdown(report.dreams_markdown(dreams))
    if dreams.problem:
        raise SystemExit(1)


@click.command()
@click.option("--min-examples", type=click.IntRange(1), help="New examples needed to start.")
@click.option("--seed", type=int, default=0, help="Of shuffling and initialisation.")
@forced
@as_json
@with_lab
def finetune(lab: Lab, min_examples: int | None, seed: int, force: bool, json_: bool) -> None:
    """Fine-tune the base model on what was verified; register it if it is better."""
    from dreamlab.orchestration import report

    training = run(lab, "finetune_base_model", min_examples=min_examples, seed=seed, force=force)
    show(training) if json_ else show_markdown(report.training_markdown(training))


@click.command()
@click.option("--count", type=click.IntRange(1), default=3, show_default=True, help="Nights.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of dreams and trainings.")
@click.option(
    "--arm",
    default="aimed",
    show_default=True,
    help="What is different: aimed, random, no-dreams, no-replay, replace, no-check, no-gate, "
    "errs-10, errs-30, dpo, grpo, or several joined by +.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data folder of these nights; default: experiments/ARM-SEED in DREAMLAB_HOME.",
)
@as_json
@with_lab
def nights(lab: Lab, count: int, seed: int, arm: str, folder: Path | None, json_: bool) -> None:
    """Live many nights in one go, in a data folder of their own, and show the learning curve.

    An experiment: the same code as a real night on a clock of its own, and nothing of it touches
    the lab that serves people. Nights already in the folder are kept, and a killed command goes
    on where it was. An arm takes one part of the loop away, to see what it is worth
    (docs/learning.md).
    """
    from dreamlab.orchestration import experiments

    course = experiments.live(
        lab.settings,
        arm,
        count,
        seed,
        folder or experiments.folder_of(lab.settings, arm, seed),
        live_plainly,
        lab.progress,
        lambda lived: click.echo(f"night {lived.night}: version {lived.version}", err=True),
    )
    if json_:
        show(course)
        return
    heads = ["night", "version", "gate", "verified", "seconds"]
    show_table([*heads, "generated F1", "natural success", "natural F1"], experiments.table(course))
