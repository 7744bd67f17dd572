"""Commands that live a night, or half of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dreamlab.cli.common import as_json, forced, show, show_markdown, with_lab

if TYPE_CHECKING:
    from dreamlab.lab import Lab


def run(lab: Lab, flow_name: str, **parameters: Any) -> Any:
    """Run one of the flows on this lab."""
    import importlib

    from dreamlab.orchestration import tasks

    tasks.use_lab(lab)
    return tasks.run_flow(
        getattr(importlib.import_module(f"flows.{flow_name}"), flow_name), **parameters
    )


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
