"""Whatever is sent, the web API answers as its OpenAPI document says, and never with a 5xx."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from werkzeug.serving import make_server

from tests.api.conftest import BEARER, PATH, Hosting, parts


@pytest.fixture
def address(hosting: Hosting, api_home: Path) -> Iterator[str]:
    """The API served on loopback, asking everybody for a token, while a dream is under way."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = hosting(api_auth="always", api_rate_limit="100000/second")
    parts(app)[0].warm_up()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    locks = api_home / "locks"
    locks.mkdir(exist_ok=True)
    try:
        with FileLock(locks / "dreaming.lock"):
            yield f"http://127.0.0.1:{server.port}{PATH}"
    finally:
        server.shutdown()
        thread.join()


def fuzz(address: str, examples: int, folder: Path) -> int:
    """Run schemathesis with all its checks; the number of cases it sent."""
    # 409 is the answer to every good trigger while a dream is under way.
    (folder / "schemathesis.toml").write_text(
        "[checks]\n"
        "positive_data_acceptance.expected-statuses = ['2xx', '409']\n"
        "negative_data_rejection.expected-statuses = ['400', '401', '413', '415', '422']\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json"),
            *("--checks=all", f"--max-examples={examples}", "--seed=1", "--continue-on-failure"),
            *("--generation-database=none", f"--header=Authorization: {BEARER['Authorization']}"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    found = re.search(r"(\d+) generated", done.stdout)
    assert found, done.stdout[-2000:]
    return int(found[1])


def test_the_api_is_as_documented(address: str, tmp_path: Path) -> None:
    assert fuzz(address, 5, tmp_path) > 100


@pytest.mark.slow
def test_the_api_is_as_documented_in_two_thousand_cases(address: str, tmp_path: Path) -> None:
    assert fuzz(address, 800, tmp_path) >= 2000
