"""Whatever is imported, the outcome is a report or one clear line, never anything else."""

import copy
import json
import random
import string
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dreamlab.directory.hsds import read_directory
from dreamlab.directory.rows import format_rows, read_services
from dreamlab.errors import DirectoryError
from tests.directory.test_hsds import FULL, V2

Spoil = Callable[[random.Random, Path], Path]
JUNK: list[Any] = [None, True, 3, -1e300, "", "x" * 3000, [], {}, [[]], {"id": {}}, "\0", "\ud800"]


def outcome(path: Path, folder: Path) -> str:
    """Read and, if it reads, write and open again; returns what happened."""
    try:
        services, report = read_directory(path)
    except DirectoryError as refused:
        message = str(refused)
    else:
        message = ""
    if message:
        assert "\n" not in message
        return "refused"
    assert services
    assert report.services == len(services)
    assert str(report)
    again = folder / "again.csv"
    again.write_text(format_rows(services), encoding="utf-8", newline="")
    assert list(read_services(again)) == services
    return "read"


def random_bytes(pick: random.Random, folder: Path) -> Path:
    path = folder / pick.choice(["a.csv", "services.csv", "a.json", "a.zip", "a"])
    path.write_bytes(pick.randbytes(pick.randrange(2000)))
    return path


def random_text(pick: random.Random, folder: Path) -> Path:
    path = folder / pick.choice(["services.csv", "a.json"])
    signs = string.printable + 'id,name\n"{}[]:é'
    path.write_text("".join(pick.choices(signs, k=pick.randrange(400))), encoding="utf-8")
    return path


def spoilt_package(pick: random.Random, folder: Path) -> Path:
    """A package with rows, columns or files lost, doubled, shuffled or cut."""
    for name, text in V2.items():
        lines = text.splitlines(keepends=True)
        for _ in range(pick.choice([0, 0, 0, 0, 1, 2])):
            i = pick.randrange(len(lines))
            action = pick.randrange(6)
            if action == 0:
                del lines[i]
            elif action == 1:
                lines.insert(i, lines[i])
            elif action == 2:
                lines[i] = lines[i].replace(pick.choice("s1olx,"), pick.choice("s9,\"';\té"))
            elif action == 3:
                lines[i] = lines[i][: pick.randrange(len(lines[i]) + 1)]
            elif action == 4:
                lines[0] = lines[0].replace("id", "key", 1)
            if not lines:
                break
        if pick.random() > 0.03:
            (folder / name).write_text("".join(lines), encoding="utf-8")
    return folder


def spoilt_bytes(pick: random.Random, folder: Path) -> Path:
    for name, text in V2.items():
        data = bytearray(text.encode())
        for _ in range(pick.choice([0, 0, 0, 1])):
            data[pick.randrange(len(data))] = pick.randrange(256)
        (folder / name).write_bytes(data)
    return folder


def spoilt_zip(pick: random.Random, folder: Path) -> Path:
    path = folder / "in.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in V2.items():
            archive.writestr(name, text)
    data = bytearray(path.read_bytes())
    if pick.random() < 0.5:
        data = data[: pick.randrange(len(data))]
    for _ in range(pick.randrange(4)):
        if data:
            data[pick.randrange(len(data))] = pick.randrange(256)
    path.write_bytes(data)
    return path


def spoilt_json(pick: random.Random, folder: Path) -> Path:
    """A good service in which values at random places are replaced by junk."""
    data = json.loads(json.dumps([FULL, {**FULL, "id": "s2"}]))
    for _ in range(pick.randrange(1, 6)):
        here: Any = data
        while True:
            keys = list(here) if isinstance(here, dict) else list(range(len(here)))
            key = pick.choice(keys)
            if not isinstance(here[key], dict | list) or not here[key] or pick.random() < 0.2:
                break
            here = here[key]
        here[key] = copy.deepcopy(pick.choice(JUNK))
    text = json.dumps(data)
    path = folder / "a.json"
    path.write_text(text[: pick.randrange(len(text))] if pick.random() < 0.1 else text)
    return path


@pytest.mark.parametrize(
    "spoil",
    [random_bytes, random_text, spoilt_package, spoilt_bytes, spoilt_zip, spoilt_json],
)
def test_rubbish_is_refused_or_reported(spoil: Spoil, tmp_path: Path) -> None:
    seen = set()
    for seed in range(60):
        folder = tmp_path / str(seed)
        folder.mkdir()
        out = tmp_path / f"{seed}-out"
        out.mkdir()
        seen.add(outcome(spoil(random.Random(seed), folder), out))
    assert "refused" in seen or spoil is spoilt_json


def test_references_in_circles_come_to_an_end(tmp_path: Path) -> None:
    files = {
        "services.csv": "id,organization_id,name\ns1,s1,Pantry\n",
        "organizations.csv": "id,name,parent_organization_id\ns1,Hands,s1\n",
        "locations.csv": "id,name,location_id\nl1,Here,l1\n",
        "services_at_location.csv": "id,service_id,location_id\ns1,s1,l1\n",
        "taxonomy.csv": "id,name,parent_id\nt1,Food,t2\nt2,Bread,t1\nt3,Self,t3\n",
        "services_taxonomy.csv": "id,service_id,taxonomy_id\n1,s1,t1\n2,s1,t2\n3,s1,t3\n",
        "contacts.csv": "id,service_id,contact_id\nc1,s1,c1\n",
        "phones.csv": "id,contact_id,number\np1,c1,555-0100\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    services, report = read_directory(tmp_path)
    assert services[0].needs == ("Food", "Bread", "Self")
    assert services[0].phone == "555-0100"
    assert sum("is above itself" in warning for warning in report.warnings) == 3
