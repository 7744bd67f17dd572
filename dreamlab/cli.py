"""The command line: a face over a lab. It parses, shows and exits; it decides nothing."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dreamlab import __version__
from dreamlab.errors import DreamLabError

if TYPE_CHECKING:
    from dreamlab.integration import Lab

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON for scripts.")
forced = click.option(
    "--force", is_flag=True, help="Run outside the downtime window; the manifest records it."
)
QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "LANCE_LOG": "error",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class Commands(click.Group):
    """A command group that shows an expected failure as one line with its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke the command; turn a `DreamLabError` into a line on standard error."""
        try:
            return super().invoke(ctx)
        except DreamLabError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("-v", "--verbose", is_flag=True, help="Show the logs of the libraries used.")
def main(verbose: bool) -> None:
    """Dream Lab answers questions about social services, and learns at night.

    \b
    A first night, at any hour:   dreamlab night --force
    A question:                   dreamlab solve "Where can my dad eat in Delano? He is 70"
    How it stands:                dreamlab status

    Settings are DREAMLAB_... variables (docs/configuration.md); everything is kept in
    DREAMLAB_HOME, by default ~/.dreamlab.
    """
    if not verbose:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)


def with_lab(command: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the command the lab of this environment, which shows progress on a terminal."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        from dreamlab.integration import open_lab

        lab = open_lab()
        with progress_bars() as lab.progress:
            return command(lab, *args, **kwargs)

    return run


class progress_bars:
    """Progress of long work on standard error: bars on a terminal, a line a stage elsewhere."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        """Start; returns what to call with (what, steps done, steps in all)."""
        self._tasks: dict[str, Any] = {}
        self._bars: Any = None
        return self._show

    def _show(self, what: str, done: int, total: int) -> None:
        if not sys.stderr.isatty():
            if what not in self._tasks:
                self._tasks[what] = None
                click.echo(f"{what} …", err=True)
            return
        if self._bars is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

            self._bars = Progress(
                "{task.description}",
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            )
            self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)

    def __exit__(self, *exc: object) -> None:
        """Leave the bars as they are."""
        if self._bars is not None:
            self._bars.stop()


def show(record: Any) -> None:
    """Print a record, or a list of records, as JSON."""
    from dreamlab.records import to_json

    click.echo(json.dumps(json.loads(to_json(record)), indent=2, ensure_ascii=False))


def show_markdown(text: str) -> None:
    """Print Markdown: rendered on a terminal, as it is elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        click.echo(text)


def show_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print rows under column heads."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    wide = None if sys.stdout.isatty() else 160
    Console(width=wide, highlight=False, markup=False).print(table)


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
                type=click.Choice(["weakness", "breadth", "random"]),
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


@main.command()
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


@main.command()
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


@main.command()
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


@main.command()
@click.argument("question")
@click.option("--roles", is_flag=True, help="Show what every role of the team answered.")
@as_json
@with_lab
def solve(lab: Lab, question: str, roles: bool, json_: bool) -> None:
    """Answer QUESTION with the team and the latest registered base model."""
    experience = lab.solve(question)
    if json_:
        show(experience)
        return
    answers = experience.answers if roles else experience.answers[:1]
    for answer in answers:
        if roles:
            cited = ", ".join(answer.referral.service_ids) or "nothing"
            click.echo(f"== {answer.role}: {cited} ({answer.seconds * 1000:.0f} ms)")
            for note in answer.notes:
                click.echo(f"   {note}")
        if answer.text:
            click.echo(answer.text)


@main.command()
@click.option("--query", required=True, help="What to remember.")
@click.option("--limit", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--kind", type=click.Choice(["experience", "reflection", "insight"]))
@click.option("--night", help="Of this night only.")
@click.option("--need", help="About this need only.")
@click.option("--group", help="About this group only.")
@click.option("--place", help="About this place only.")
@as_json
@with_lab
def memories(
    lab: Lab,
    query: str,
    limit: int,
    kind: str | None,
    night: str | None,
    need: str | None,
    group: str | None,
    place: str | None,
    json_: bool,
) -> None:
    """Recall memories: experiences, reflections on them, and insights."""
    from dreamlab.records import MemoryKind

    kinds = (MemoryKind(kind),) if kind else None
    found = lab.memory.recall(
        query, limit=limit, kinds=kinds, night=night, need=need, group=group, place=place
    )
    if json_:
        show(found)
        return
    if not found:
        click.echo("Nothing is remembered that fits.")
    for memory in found:
        click.echo(f"{memory.score:.2f}  {memory.night}  {memory.kind}  {memory.text}")


@main.command()
@as_json
@with_lab
def status(lab: Lab, json_: bool) -> None:
    """Say how the lab stands: directory, window, last night, version that answers."""
    from dreamlab.orchestration.status import status_of

    facts = status_of(lab)
    if json_:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' '):{width}}  {value}")


@main.command()
@as_json
@with_lab
def versions(lab: Lab, json_: bool) -> None:
    """List the registered versions of the base model with their scores."""
    known = lab.registry.versions()
    if json_:
        show(known)
        return
    if not known:
        click.echo("No version is registered yet; the first night registers version 1.")
        return
    from dreamlab.orchestration.report import version_rows

    show_table(*version_rows(known))


@main.command()
@click.argument("version", type=click.IntRange(1))
@with_lab
def rollback(lab: Lab, version: int) -> None:
    """Let VERSION answer from now on (moves the alias champion)."""
    lab.registry.rollback(version)
    click.echo(f"Version {version} answers from now on.")


@main.group()
def directory() -> None:
    """Look into the directory of services, or import another one."""


@directory.command("list")
@with_lab
def directory_list(lab: Lab) -> None:
    """List the directories at hand; the one in use is marked."""
    from dreamlab.directory.catalog import list_directories

    for name in list_directories(lab.settings):
        click.echo(f"{'*' if name == lab.settings.directory else ' '} {name}")


@directory.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--name", required=True, help="Letters, digits and dashes.")
@as_json
@with_lab
def directory_import(lab: Lab, path: Path, name: str, json_: bool) -> None:
    """Import PATH (HSDS folder, zip or JSON, or our CSV) as a directory.

    Use it with DREAMLAB_DIRECTORY=NAME.
    """
    from dreamlab.directory.importing import import_directory

    lab.check_home()
    report = import_directory(path, name, lab.settings)
    show(report) if json_ else click.echo(str(report))


@directory.command("facets")
@as_json
@with_lab
def directory_facets(lab: Lab, json_: bool) -> None:
    """List the needs, groups and places found in the rows."""
    facets = {
        "needs": list(lab.catalog.needs),
        "groups": list(lab.catalog.groups),
        "places": list(lab.catalog.places),
    }
    if json_:
        click.echo(json.dumps(facets, indent=2, ensure_ascii=False))
        return
    for name, values in facets.items():
        click.echo(f"{name}: {', '.join(values)}")


@directory.command("search")
@click.argument("text")
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True)
@as_json
@with_lab
def directory_search(lab: Lab, text: str, limit: int, json_: bool) -> None:
    """Find services by full text."""
    found = lab.catalog.search(text, limit)
    if json_:
        show([match.service for match in found])
        return
    if not found:
        click.echo("No row has these words.")
    for match in found:
        click.echo(f"{match.service.id}  {match.service.name} ({match.service.organization})")


@directory.command("gaps")
@click.option("--need", help="Of this need only.")
@click.option("--group", help="For this group only.")
@click.option("--place", help="In this place only.")
@as_json
@with_lab
def directory_gaps(lab: Lab, json_: bool, **where: str | None) -> None:
    """List what is missing: needs that no row meets for a group in a place."""
    gaps = lab.catalog.gaps(**where)
    show(gaps) if json_ else click.echo("\n".join(map(str, gaps)) or "No gap.")
