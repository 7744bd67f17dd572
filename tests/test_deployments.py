"""What `deployments/` ships is held to its own tools and schemas, and to this version."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from dreamlab import __version__
from dreamlab.cli import main
from dreamlab.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
DEPLOYMENTS = ROOT / "deployments"
COMPOSE = yaml.safe_load((DEPLOYMENTS / "compose.yaml").read_text())
TEMPLATES = sorted((DEPLOYMENTS / "work-pools").glob("*.json"))
SHIPPED = [p for p in DEPLOYMENTS.rglob("*") if p.is_file() and p.suffix != ".pyc"]


def tool(name: str) -> str:
    """A tool of the development environment, which may not be activated."""
    return str(Path(sys.executable).parent / name)


def passes(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_fits_the_compose_schema():
    passes(
        tool("check-jsonschema"),
        "--builtin-schema",
        "vendor.compose-spec",
        "deployments/compose.yaml",
    )


def test_the_compose_file_opens_ports_on_loopback_only_and_holds_no_secret():
    text = (DEPLOYMENTS / "compose.yaml").read_text()
    ports = [p for service in COMPOSE["services"].values() for p in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    asked = set(re.findall(r"\$\{([A-Z0-9_]+)", text))
    offered = set(re.findall(r"^([A-Z0-9_]+)=", (DEPLOYMENTS / "env.example").read_text(), re.M))
    assert asked == offered
    for line in (DEPLOYMENTS / "env.example").read_text().splitlines():
        assert not re.match(r".*(PASSWORD|KEY)=.", line)


def test_what_the_compose_file_mounts_and_waits_for_exists():
    services = COMPOSE["services"]
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (
                (DEPLOYMENTS / source).exists()
                if source[0] == "."
                else source in COMPOSE["volumes"]
            )
        assert set(service.get("depends_on", {})) <= set(services) - {name}


def test_the_dockerfile_lints_and_copies_what_there_is():
    passes(tool("hadolint"), "--failure-threshold", "info", "deployments/Dockerfile")
    text = (DEPLOYMENTS / "Dockerfile").read_text()
    copied = [line.split()[1:-1] for line in re.findall(r"^COPY (?!--from).*", text, re.M)]
    for source in [name for names in copied for name in names]:
        assert (ROOT / source).exists(), source


def test_the_kubernetes_manifests_fit_the_schema():
    passes(tool("kubernetes-validate"), "--strict", *DEPLOYMENTS.glob("kubernetes/*.yaml"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.stem)
def test_a_job_template_explains_every_variable_and_uses_it(path: Path):
    template = json.loads(path.read_text())
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    variables = template["variables"]["properties"]
    assert used == set(variables)
    assert all(variable["description"] for variable in variables.values())


def configured(path: Path) -> Any:
    """What Prefect's worker makes of a template for one run, without a server."""
    if path.stem == "docker":
        from prefect_docker.worker import DockerWorkerJobConfiguration as Configuration
    else:
        from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration as Configuration
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import Flow, FlowRun

    async def make() -> Any:
        client = PrefectClient(api="http://127.0.0.1:9/api")  # never called: no block is named
        template = json.loads(path.read_text())
        made = await Configuration.from_template_and_values(template, {}, client=client)
        run = FlowRun(id=uuid4(), flow_id=uuid4(), name="dreaming 2026-11-23")
        made.prepare_for_flow_run(run, flow=Flow(name="dream-session"))
        return made

    return asyncio.run(make())


def test_prefect_starts_a_container_from_the_docker_template():
    made = configured(DEPLOYMENTS / "work-pools" / "docker.json")
    assert made.image == f"dreamlab:{__version__}"
    assert made.env["DREAMLAB_HOME"] == "/data"
    assert made.volumes == ["dreamlab_lab:/data"]
    assert {"dreamlab_lab", "dreamlab_default"} == {
        f"{COMPOSE['name']}_{name}" for name in ("lab", "default")
    }


def test_prefect_starts_a_valid_job_from_the_kubernetes_template():
    import kubernetes_validate

    job = configured(DEPLOYMENTS / "work-pools" / "kubernetes.json").job_manifest
    # Prefect asks for two fields of a job inside the pod; a cluster warns of them and goes on.
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=False)
    pod = job["spec"]["template"]["spec"]
    shipped = list(yaml.safe_load_all((DEPLOYMENTS / "kubernetes" / "worker.yaml").read_text()))
    named = {(d["kind"], d["metadata"]["name"]) for d in shipped}
    assert ("ServiceAccount", pod["serviceAccountName"]) in named
    assert (
        "PersistentVolumeClaim",
        pod["volumes"][0]["persistentVolumeClaim"]["claimName"],
    ) in named
    [container] = pod["containers"]
    assert ("ConfigMap", container["envFrom"][0]["configMapRef"]["name"]) in named
    assert container["args"] == ["prefect", "flow-run", "execute"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd on this machine")
def test_systemd_takes_the_units(tmp_path: Path):
    for path in (DEPLOYMENTS / "systemd").iterdir():
        text = re.sub(r"/opt/dreamlab/bin/\w+", "/bin/true", path.read_text())
        (tmp_path / path.name).write_text(text)
    units = [p for p in tmp_path.iterdir() if p.suffix != ".env"]
    passes("systemd-analyze", "verify", "--man=no", *units)


def test_every_command_of_ours_that_is_deployed_is_one():
    deployed = set()
    for path in SHIPPED:
        deployed.update(re.findall(r"/opt/dreamlab/bin/dreamlab (\w+)", path.read_text()))
        deployed.update(re.findall(r"\[\"?dreamlab\"?, \"?(\w+)", path.read_text()))
    assert {"traces", "night", "status"} <= deployed <= set(main.commands)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_what_is_deployed_names_known_settings_and_this_version(path: Path):
    text = path.read_text()
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", text)) <= known
    assert set(re.findall(r"dreamlab:(\d+\.[\w.]+)", text)) <= {__version__}


def test_operations_name_files_that_are_there():
    text = (ROOT / "docs" / "operations.md").read_text()
    named = set(re.findall(r"deployments/[\w./-]*\w", text)) - {"deployments/.env"}
    assert len(named) > 6
    for name in named:
        assert (ROOT / name).exists() or list(ROOT.glob(f"{name}*")), name
