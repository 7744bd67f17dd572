"""The documents say what the program does: every command, option and setting, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import SecretStr

from dreamlab.cli import main
from dreamlab.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCS = README + "".join(p.read_text() for p in sorted((ROOT / "docs").glob("*.md")))
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()


def commands(group: click.Group, path: str = "dreamlab") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


COMMANDS = dict(commands(main))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_and_teaches(name: str) -> None:
    assert name in DOCS
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name not in {"kind"}:
            assert parameter.help or parameter.show_default, f"{name} {parameter.opts}"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    row = re.search(rf"^\| `{PREFIX}{name.upper()}` \| (.+?) \|", CONFIGURATION, re.MULTILINE)
    assert row, f"{name} is not in docs/configuration.md"
    field = Settings.model_fields[name]
    if field.default_factory:
        assert f"`{PREFIX}HOME`/" in row.group(1)
        return
    default = field.default
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    assert str(default) in row.group(1) or (default == "" and "(empty)" in row.group(1))


def test_no_document_names_an_unknown_setting() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", DOCS)) <= known


def test_no_document_names_an_unknown_command() -> None:
    groups = {n for n, c in COMMANDS.items() if isinstance(c, click.Group)}
    for line in re.findall(r"(?:^|`)(dreamlab [a-z][^`\n]*)", DOCS, re.MULTILINE):
        words = line.split()
        name = " ".join(words[:2])
        if name in groups and len(words) > 2 and not words[2].startswith("-"):
            name = " ".join(words[:3])
        assert name in COMMANDS, f"{line!r} in the documents is no command"


def test_the_gate_runs_the_readmes_test_command() -> None:
    second = re.findall(r"^```bash\n(.+?)\n```", README, re.MULTILINE | re.DOTALL)[1]
    assert second in (ROOT / ".ci" / "run").read_text()


def test_files_the_documents_link_to_exist() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
