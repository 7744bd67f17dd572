"""What the commands share: the lab, options, progress, output, errors in one line."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any

import click

from dreamlab.errors import DreamLabError

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON for scripts.")
forced = click.option(
    "--force", is_flag=True, help="Run outside the downtime window; the manifest records it."
)


class Commands(click.Group):
    """A command group that shows an expected failure as one line with its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke the command; turn a `DreamLabError` into a line on standard error."""
        try:
            return super().invoke(ctx)
        except DreamLabError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


LAB = "dreamlab.lab"
"""Where a host application that shows these commands keeps the lab that they work on."""


def with_lab(command: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the command the host application's lab, else the environment's; show progress."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        from dreamlab.lab import open_lab

        lab = click.get_current_context().meta.get(LAB) or open_lab()
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
