"""What an installed package needs is in it: an editable installation would not show that."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_data_file_is_packaged() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packaged = {
        path
        for package, patterns in listed["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    files = {p for p in (ROOT / "dreamlab").rglob("*") if p.is_file() and p.suffix != ".py"}
    data = {path for path in files if "__pycache__" not in path.parts}
    assert len(data) > 20
    assert data <= packaged
