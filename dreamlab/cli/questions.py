"""Commands that ask the team and its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dreamlab.cli.common import as_json, show, with_lab

if TYPE_CHECKING:
    from dreamlab.lab import Lab


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


@click.command()
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
