"""Moving what MLflow keeps: `deployments/move_mlflow.py` against real databases."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dreamlab.errors import RegistryError
from dreamlab.settings import Settings
from dreamlab.training.registry import FINE_TUNING, Registry
from tests.training.conftest import Place

SCRIPT = Path(__file__).parents[2] / "deployments" / "move_mlflow.py"


@pytest.fixture(scope="module")
def mover() -> ModuleType:
    spec = importlib.util.spec_from_file_location("move_mlflow", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def postgres() -> Iterator[str]:
    """A PostgreSQL server of its own on a free port, with an empty database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("no PostgreSQL on this machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="dreamlab-postgres-"))
    account = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        account = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        shutil.chown(folder, "nobody", "nogroup")

    def run(program: str, *arguments: str) -> None:
        command = [*account, str(found[-1] / program), *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    run("initdb", "-D", f"{folder}/data", "-U", "lab", "-A", "trust")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    run("pg_ctl", "-D", f"{folder}/data", "-w", "-o", options, "-l", f"{folder}/log", "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "lab", "mlflow")
        yield f"postgresql+psycopg2://lab@127.0.0.1:{port}/mlflow"
    finally:
        run("pg_ctl", "-D", f"{folder}/data", "-m", "fast", "stop")
        shutil.rmtree(folder)


def test_a_data_folder_that_was_moved_is_told_so(place: Place, mover: ModuleType):
    place.version("k1", scores={"natural/f1": 0.5})
    old = place.settings.home
    new = old.rename(old.with_name("elsewhere"))
    with pytest.raises(RegistryError, match=r"missing; a data folder that was moved .*operations"):
        Registry(Settings(home=new)).fetch(1)
    database = f"sqlite:///{new}/mlflow/mlflow.db"
    assert mover.relocate(database, old.as_uri(), new.as_uri()) > 0
    assert mover.relocate(database, old.as_uri(), new.as_uri()) == 0
    registry = Registry(Settings(home=new))
    assert (registry.fetch(1) / "adapter_model.safetensors").read_text() == "weights of k1"
    registry.log_file(registry.versions()[0].run_id, SCRIPT)
    assert not old.exists()


def check_copy(place: Place, mover: ModuleType, target: str) -> None:
    """Copies, then lives on: the same versions, and the next run and version come after them."""
    version = place.version("k1", scores={"natural/f1": 0.5})
    place.registry.log(version.run_id, metrics={"loss": 0.5}, step=3)
    source = f"sqlite:///{place.settings.mlflow_path}/mlflow.db"
    rows = mover.copy(source, target)
    assert rows > 20
    copied = Registry(Settings(home=place.settings.home / "new", tracking_uri=target))
    assert copied.versions() == place.registry.versions()
    metrics = copied._client.get_run(version.run_id).data.metrics
    assert metrics == {"natural/f1": 0.5, "loss": 0.5} | metrics
    run = copied.start_run(FINE_TUNING, "k2", "k2")
    assert copied.register(place.adapter("k2"), run, "k2").number == 2
    assert copied.start_run("another experiment", "x")
    with pytest.raises(ValueError, match="holds runs already"):
        mover.copy(source, target)


def test_a_copy_in_another_file_is_the_same_registry(place: Place, mover: ModuleType, tmp_path):
    check_copy(place, mover, f"sqlite:///{tmp_path}/copy.db")


@pytest.mark.slow
def test_a_copy_in_postgres_is_the_same_registry(place: Place, mover: ModuleType, postgres: str):
    check_copy(place, mover, postgres)


def test_to_copy_nowhere_is_one_line(tmp_path: Path):
    command = [sys.executable, str(SCRIPT), "copy", f"sqlite:///{tmp_path}/x.db"]
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_BACKEND_STORE_URI"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stderr == "Error: set MLFLOW_BACKEND_STORE_URI to the new database\n"
