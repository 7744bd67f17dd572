"""Processes kept by name, with a small web server as the service."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dreamlab.errors import SchedulerError
from dreamlab.orchestration import janitor, services
from dreamlab.orchestration.services import LOOPBACK, Service


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Service]:
    port = services.free_port()
    url = f"http://{LOOPBACK}:{port}"
    command = (sys.executable, "-m", "http.server", str(port), "--bind", LOOPBACK)
    yield Service("web", command, tmp_path, url, f"{url}/")
    services.stop(tmp_path, "web")


def test_a_service_is_started_once_and_stopped_whole(web: Service) -> None:
    assert web.start() == web.url
    first = services.find(web.home, "web")
    web.start()
    assert services.find(web.home, "web") == first
    assert services.stop(web.home, "web")
    assert not services.answers(web.health)
    assert not services.stop(web.home, "web")


def test_a_killed_service_is_not_taken_for_a_running_one(web: Service) -> None:
    web.start()
    killed = services.find(web.home, "web")
    assert killed
    psutil.Process(killed.pid).kill()
    psutil.wait_procs([psutil.Process(killed.pid)], 5)
    assert services.find(web.home, "web") is None
    web.start()
    assert services.answers(web.health)


def test_another_process_of_the_same_number_is_not_ours(tmp_path: Path) -> None:
    rows = [{"name": "web", "pid": os.getpid(), "born": 1.0, "url": ""}]
    (tmp_path / services.RECORD).write_text(json.dumps(rows))
    assert not services.stop(tmp_path, "web")


def test_a_taken_port_is_named_with_the_remedy(web: Service) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, int(web.url.rsplit(":", 1)[1])))
        taken.listen()
        with pytest.raises(SchedulerError, match=r"port \d+ is taken.*--web-port"):
            web.start()


def test_a_service_that_ends_at_once_names_its_log(tmp_path: Path) -> None:
    url = f"http://{LOOPBACK}:{services.free_port()}"
    broken = Service("broken", (sys.executable, "-c", "raise SystemExit(3)"), tmp_path, url, url)
    with pytest.raises(SchedulerError, match=r"broken.*broken\.log"):
        broken.start(20)
    assert services.running(tmp_path) == {}


def test_a_damaged_record_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / services.RECORD).write_text("{")
    assert services.running(tmp_path) == {}


def test_runs_whose_process_is_gone_are_found_and_live_ones_are_not(tmp_path: Path) -> None:
    janitor.note(tmp_path, "mine")
    child = [sys.executable, "-c", "import sys; from pathlib import Path\n"]
    child[-1] += "from dreamlab.orchestration import janitor\n"
    child[-1] += "janitor.note(Path(sys.argv[1]), 'lost')"
    subprocess.run([*child, str(tmp_path)], check=True)
    assert set(janitor.gone(tmp_path)) == {"lost"}


def test_a_process_ends_with_the_parent_that_is_killed(tmp_path: Path) -> None:
    child = "import sys, time\nfrom dreamlab.orchestration import janitor\n"
    child += "janitor.end_with_parent(0.05)\nprint('ready', flush=True)\ntime.sleep(60)"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    (orphan,) = psutil.Process(process.pid).children()
    process.kill()
    process.communicate(timeout=10)
    assert psutil.wait_procs([orphan], 10)[0]
