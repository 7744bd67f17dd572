"""The house rules that a reader relies on: imports point down, heavy libraries have one door."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = [
    {"records", "errors"},
    {"settings", "files"},
    {"directory", "privacy", "tracing"},
    {"models"},
    {"memory", "agents", "training"},
    {"exploration"},
    {"lab"},
    {"orchestration"},
    {"hosting"},
    {"flows", "cli"},
    {"api"},
    {"integration"},
]
# The training door: what all strategies share, and a file for each strategy.
TRAINING = {
    f"dreamlab/training/{name}.py"
    for name in ("frame", "sft", "policy", "preference", "reinforcement")
}
DOORS = {
    "torch": {"dreamlab/models/", *TRAINING},
    "transformers": {"dreamlab/models/", *TRAINING},
    "sentence_transformers": {"dreamlab/models/"},
    "safetensors": {"dreamlab/models/", *TRAINING},
    "peft": {"dreamlab/models/", *TRAINING},
    "trl": TRAINING,
    "datasets": TRAINING,
    "lancedb": {"dreamlab/memory/store.py"},
    "pyarrow": {"dreamlab/memory/store.py"},
    # One door in two files: runs and versions, and the spans of traces.
    "mlflow": {"dreamlab/training/registry.py", "dreamlab/training/traces.py"},
    "prefect": {
        "dreamlab/orchestration/tasks.py",
        "dreamlab/orchestration/runs.py",
        "dreamlab/orchestration/runners.py",
        "dreamlab/orchestration/scheduler.py",
        "dreamlab/orchestration/sessions.py",
        "dreamlab/orchestration/operating.py",
        "dreamlab/orchestration/automations.py",
        "dreamlab/orchestration/janitor.py",
        "dreamlab/orchestration/doctor.py",
        "flows/",
    },
    "phonenumbers": {"dreamlab/privacy/"},
    "faker": {"dreamlab/privacy/"},
    "prefect_dask": {"dreamlab/orchestration/runners.py"},
    "prefect_ray": {"dreamlab/orchestration/runners.py"},
    "ray": {"dreamlab/orchestration/runners.py"},
    "matplotlib": {"dreamlab/orchestration/report.py"},
    "rich": {"dreamlab/cli/common.py"},
    "flask": {"dreamlab/api/", "dreamlab/integration.py"},
    "flask_limiter": {"dreamlab/api/access.py"},
    "limits": {"dreamlab/api/access.py"},
    "openai": {"dreamlab/agents/models.py"},
    "tenacity": {"dreamlab/agents/models.py"},
    "circuitbreaker": {"dreamlab/agents/models.py"},
    "crewai": {"dreamlab/agents/crew.py"},
    "sqlite3": {"dreamlab/agents/ledger.py", "dreamlab/training/registry.py"},
    "pickle": set(),
}
SOURCES = sorted([*ROOT.glob("dreamlab/**/*.py"), *ROOT.glob("flows/*.py")])


def part_of(module: str) -> str:
    names = module.split(".")
    return names[1] if names[0] == "dreamlab" and len(names) > 1 else names[0]


def level(part: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if part in layer)


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    own = part_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if own in {"__init__", "__main__", "dreamlab"}:
        return
    for module in imports(path):
        if module.split(".")[0] not in {"dreamlab", "flows"} or module == "dreamlab.__version__":
            continue
        other = part_of(module)
        assert other == own or level(other) < level(own), f"{path.name} imports {module}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_enter_through_their_door(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    for module in imports(path):
        doors = DOORS.get(module.split(".")[0])
        if doors is not None:
            assert any(name.startswith(door) for door in doors), f"{name} imports {module}"


def test_no_code_knows_the_first_domain() -> None:
    for path in SOURCES:
        text = path.read_text()
        for word in ("Kern", "Bakersfield", "661-", "California"):
            assert word not in text, f"{path.relative_to(ROOT)} knows {word}"


def test_remote_code_is_never_trusted() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert isinstance(node.value, ast.Constant)
                assert node.value.value is False


def test_importing_the_command_line_loads_no_heavy_library() -> None:
    code = "import sys, dreamlab.cli, dreamlab.integration; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"torch", "transformers", "mlflow", "lancedb", "prefect", "peft", "openai"}
    assert not set(loaded) & heavy
    assert not set(loaded) & {"faker", "phonenumbers"}
