"""Commands that ask the team and its memory."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from dreamlab.cli.common import as_json, show, with_lab

if TYPE_CHECKING:
    from dreamlab.lab import Lab

SHOWN = 20
"""Questions shown before they are forgotten."""


@click.command()
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


@click.group(invoke_without_command=True)
@click.option("--query", help="What to remember.")
@click.option("--limit", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--kind", type=click.Choice(["experience", "reflection", "insight"]))
@click.option("--night", help="Of this night only.")
@click.option("--need", help="About this need only.")
@click.option("--group", help="About this group only.")
@click.option("--place", help="About this place only.")
@as_json
@click.pass_context
def memories(context: click.Context, query: str | None, **options: Any) -> None:
    """Recall memories: experiences, reflections on them, and insights; or forget some."""
    if context.invoked_subcommand:
        return
    if not query:
        raise click.UsageError("Missing option '--query'.", context)
    recall(query, **options)


@with_lab
def recall(
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
    """Show what memory has on a query."""
    from dreamlab.records import MemoryKind

    kinds = (MemoryKind(kind),) if kind else None
    found = lab.recall(
        query, limit=limit, kinds=kinds, night=night, need=need, group=group, place=place
    )
    if json_:
        show(found)
        return
    if not found:
        click.echo("Nothing is remembered that fits.")
    for memory in found:
        click.echo(f"{memory.score:.2f}  {memory.id}  {memory.kind}  {memory.text}")


@memories.command("forget")
@click.option("--containing", multiple=True, help="Whatever holds this text, such as a name.")
@click.option("--id", "ids", multiple=True, help="The experience of this id.")
@click.option(
    "--asked-before",
    type=click.DateTime(["%Y-%m-%d"]),
    help="What people asked before this day.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be forgotten; forget nothing.")
@click.option("--yes", is_flag=True, help="Do not ask whether to.")
@as_json
@with_lab
def forget(
    lab: Lab,
    containing: tuple[str, ...],
    ids: tuple[str, ...],
    asked_before: datetime | None,
    dry_run: bool,
    yes: bool,
    json_: bool,
) -> None:
    """Forget questions for good, with what was dreamt and written from them.

    They leave memory, plans and datasets; versions that were trained on them are marked.
    """
    from dreamlab.orchestration import forgetting

    if not (containing or ids or asked_before):
        raise click.UsageError("Say what to forget: --containing, --id or --asked-before.")
    if asked_before:
        asked_before = asked_before.replace(tzinfo=lab.settings.zone)
    traces = forgetting.traces_of(lab, containing=containing, ids=ids, asked_before=asked_before)
    show(traces) if json_ else click.echo(f"{traces or 'Nothing is remembered that fits'}.")
    for experience in () if json_ else traces.questions[:SHOWN]:
        click.echo(f"  {experience.id}  {experience.task.question}")
    if dry_run or not traces:
        return
    if not yes:
        click.confirm("Forget them for good?", abort=True, err=True)
    forgetting.forget(lab, traces)
    if json_:
        return
    click.echo("Forgotten.")
    for number in traces.versions:
        click.echo(
            f"Version {number} learnt from them and is marked; it may still answer. "
            "`dreamlab versions` lists the others, `dreamlab rollback` chooses one."
        )
