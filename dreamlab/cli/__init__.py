"""The command line: a face over a lab. It parses, shows and exits; it decides nothing."""

from __future__ import annotations

import logging
import os
import warnings

import click

from dreamlab import __version__
from dreamlab.cli.common import Commands
from dreamlab.cli.directory import directory
from dreamlab.cli.nights import dream, finetune, night, nights
from dreamlab.cli.operations import doctor, down, queue, up
from dreamlab.cli.questions import memories, solve
from dreamlab.cli.scheduling import schedule, trigger
from dreamlab.cli.traces import traces
from dreamlab.cli.versions import rollback, status, versions

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
        quieten()


def quieten() -> None:
    """Silence the libraries: a command shows what it has to say, and errors."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


COMMANDS = (
    *(night, nights, dream, finetune, trigger, schedule, solve, memories),
    *(status, versions, rollback, traces, directory),
    *(up, down, doctor, queue),
)
for command in COMMANDS:
    main.add_command(command)
