"""Take the pictures of the documents: the pages of Prefect and MLflow that an operator looks at.

    pip install -e '.[screenshots]'
    python docs/screenshots.py --prefect http://127.0.0.1:4200 --mlflow http://127.0.0.1:5000

Wants both servers, with a night dreamt by a deployment, three trainings and a question's trace, and
Chromium. It looks for what to show itself, and says what is missing; a page that shows an error is
not kept.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as Late

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CALM = """
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
"""
"""Keeps MLflow's assistant shut, which opens by itself on the first visit."""
WIDTH, HEIGHT = 1400, 900
TALL = {"mlflow-compare": 2000, "mlflow-version": 1100}
"""Pages whose point lies further down."""
SECONDS = 30
TRAININGS, COMPARED = 3, 4
"""Trainings that the view wants which compares, and the most runs that it shows side by side."""
WRONG = "Something went wrong"
"""What both servers' pages say where a part of them failed."""

Shot = tuple[str, str, str]
"""The picture's name, the page's address, and a text that the page shows once it is there."""


def call(url: str, **body: Any) -> Any:
    """The JSON that an API answers to a POST of `body`, or to a GET without one."""
    data = json.dumps(body).encode() if body else None
    with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=30) as reply:
        return json.load(reply)


def first(found: list[Any], what: str) -> Any:
    """The first of what was found; ends with a line where there is none."""
    if not found:
        sys.exit(f"Error: there is no {what} to show")
    return found[0]


def prefect_shots(base: str) -> Iterator[Shot]:
    """The list of deployments, a finished dream session and its report."""
    api = f"{base}/api"
    yield "prefect-deployments", f"{base}/deployments", "finetune-base-model"
    runs = call(
        f"{api}/flow_runs/filter",
        flows={"name": {"any_": ["dream-session"]}},
        flow_runs={"state": {"type": {"any_": ["COMPLETED"]}}},
        sort="END_TIME_DESC",
        limit=20,
    )
    told = {
        a["flow_run_id"]: a
        for a in call(f"{api}/artifacts/filter", artifacts={"type": {"any_": ["markdown"]}})
    }
    run = first([r for r in runs if r["id"] in told], "finished dream session with a report")
    yield "prefect-dream-run", f"{base}/runs/flow-run/{run['id']}", run["name"]
    report = told[run["id"]]["id"]
    yield "prefect-night-report", f"{base}/artifacts/artifact/{report}", "planned"


def mlflow_shots(base: str) -> Iterator[Shot]:
    """Trainings compared, the version that answers, its run, and traces."""
    api = f"{base}/api/2.0/mlflow"
    found = call(f"{api}/experiments/search", max_results=100)["experiments"]
    ids = {e["name"]: e["experiment_id"] for e in found}
    for name in ("dream-nights", "fine-tuning", "questions"):
        first([name] if name in ids else [], f"experiment {name}")
    tuning = ids["fine-tuning"]
    runs = call(f"{api}/runs/search", experiment_ids=[tuning]).get("runs", [])
    ended = [r["info"]["run_id"] for r in runs if r["info"]["status"] == "FINISHED"]
    # MLflow 3.17 shows an error instead of the files where one of the runs has none.
    shown = [id_ for id_ in ended if call(f"{api}/artifacts/list?run_id={id_}").get("files")]
    first(shown[TRAININGS - 1 :], "third training to compare")
    shown = shown[:COMPARED]
    query = f"runs={quote(json.dumps(shown))}&experiments={quote(json.dumps([tuning]))}"
    yield "mlflow-compare", f"{base}/#/compare-runs?{query}", "Comparing"
    model = first(call(f"{api}/registered-models/search").get("registered_models", []), "version")
    aliases = {a["alias"]: a["version"] for a in model.get("aliases", [])}
    version = aliases.get("champion") or first([], "champion")
    page = f"{base}/#/models/{quote(model['name'])}/versions/{version}"
    yield "mlflow-version", page, "champion"
    trained = call(f"{api}/model-versions/get?name={quote(model['name'])}&version={version}")
    run = trained["model_version"]["run_id"]
    yield "mlflow-run", f"{base}/#/experiments/{tuning}/runs/{run}", "About this run"
    page = f"{base}/#/experiments/{ids['dream-nights']}/traces"
    yield "mlflow-dreams", page, "Rows per page"
    place = {
        "type": "MLFLOW_EXPERIMENT",
        "mlflow_experiment": {"experiment_id": ids["questions"]},
    }
    traces = call(f"{base}/api/3.0/mlflow/traces/search", locations=[place], max_results=1)
    trace = first(traces.get("traces", []), "trace of a question")["trace_id"]
    page = f"{base}/#/experiments/{ids['questions']}/traces?selectedEvaluationId={trace}"
    yield "mlflow-trace", page, "search specialist"


def take(page: Page, shot: Shot, folder: Path) -> None:
    """Opens a page, waits for its text, shuts a guide that lies over it, and keeps a picture."""
    name, url, text = shot
    page.set_viewport_size({"width": WIDTH, "height": TALL.get(name, HEIGHT)})
    page.goto("about:blank")  # a change of the fragment alone does not load a page anew
    page.goto(url)
    page.get_by_text(text).first.wait_for(timeout=SECONDS * 1000)
    with contextlib.suppress(Late):
        page.get_by_role("button", name="Got it").click(timeout=1500)
    with contextlib.suppress(Late):  # pages that keep a connection open are never idle
        page.wait_for_load_state("networkidle", timeout=5000)
    if page.get_by_text(WRONG).count():
        sys.exit(f"Error: {url} says: {WRONG}")
    page.screenshot(path=folder / f"{name}.png")
    print(f"{name}.png", flush=True)


def main() -> None:
    """Takes all pictures that the given servers have."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prefect", help="address of the Prefect server")
    parser.add_argument("--mlflow", help="address of the MLflow server")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--only", action="append", help="a picture's name; may be repeated")
    given = parser.parse_args()
    shots: list[Shot] = []
    if given.prefect:
        shots += prefect_shots(given.prefect.rstrip("/"))
    if given.mlflow:
        shots += mlflow_shots(given.mlflow.rstrip("/"))
    given.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=given.browser, args=list(FLAGS))
        page = browser.new_page()
        page.add_init_script(CALM)
        for shot in shots:
            if not given.only or shot[0] in given.only:
                take(page, shot, given.out)
        browser.close()


if __name__ == "__main__":
    main()
