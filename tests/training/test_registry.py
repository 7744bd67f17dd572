"""The registry against real MLflow on SQLite: one database a session where nothing is broken."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dreamlab.errors import RegistryError, StorageError
from dreamlab.settings import Settings
from dreamlab.training.examples import export
from dreamlab.training.registry import FINE_TUNING, NIGHTS, Registry
from tests.training.conftest import Place


def test_before_the_first_write_there_is_nothing_and_nothing_is_made(tmp_path: Path):
    place = Place(tmp_path)
    assert place.registry.versions() == ()
    assert place.registry.champion() is None
    assert not place.settings.home.exists()


def test_version_one_is_the_untouched_model_with_its_score(place: Place):
    run = place.registry.start_run(FINE_TUNING, "untouched")
    first = place.registry.register_untouched(run, benchmark="b", scores={"natural/f1": 0.0})
    assert (first.number, first.untouched, first.champion, first.parent) == (1, True, True, None)
    assert (first.benchmark, first.scores) == ("b", {"natural/f1": 0.0})
    note = json.loads((place.registry.fetch(1) / "base_model.json").read_text())
    assert note == {"base_model": "embedded", "adapter": None}
    place.version("later")
    assert place.registry.register_untouched(run).number == 1
    assert len(place.registry.versions()) == 2


def test_a_registered_version_says_all_it_was_registered_with(place: Place):
    made = place.version(
        "k1",
        night="2026-01-01",
        dataset="d",
        parent=7,
        benchmark="b",
        scores={"natural/f1": 0.123456789, "natural/f1_low": 0, "natural/f1_high": 0.5},
        description="better",
    )
    assert (made.number, made.champion, made.night, made.key) == (1, True, "2026-01-01", "k1")
    assert (made.dataset, made.parent, made.benchmark) == ("d", 7, "b")
    assert made.scores == {"natural/f1": 0.123457, "natural/f1_low": 0, "natural/f1_high": 0.5}
    assert made.description == "better"
    assert place.registry.versions() == (made,)


def test_what_is_fetched_is_what_was_registered(place: Place):
    place.version("k1")
    folder = place.registry.fetch(1)
    assert (folder / "adapter_model.safetensors").read_text() == "weights of k1"
    assert (folder / "tokenizer" / "tokenizer.json").is_file()
    assert folder.is_relative_to(place.settings.mlflow_path)


def test_passing_makes_champion_and_rollback_points_back(place: Place):
    place.version("k1")
    place.version("k2")
    assert [v.champion for v in place.registry.versions()] == [False, True]
    assert place.registry.rollback(1).champion
    assert [v.champion for v in Registry(place.settings).versions()] == [True, False]
    assert place.registry.rollback(2).number == place.registry.champion().number == 2


def test_without_the_alias_the_latest_version_answers(place: Place):
    place.version("k1")
    place.version("k2")
    place.registry.rollback(1)
    place.registry._client.delete_registered_model_alias(place.registry.name, "champion")
    assert place.registry.champion().number == 2


def test_to_roll_back_to_nothing_is_an_error_that_names_what_there_is(place: Place):
    with pytest.raises(RegistryError, match=r"no version 3 of dreamlab-base-kern.*none yet"):
        place.registry.rollback(3)
    place.version("k1")
    with pytest.raises(RegistryError, match=r"no version 3 .*there are 1"):
        place.registry.rollback(3)


def test_registering_a_key_again_adds_nothing(place: Place):
    assert place.version("k1") == place.version("k1")
    assert len(place.registry.versions()) == 1


def test_a_repeated_night_does_not_undo_a_rollback(place: Place):
    place.version("k1")
    place.version("k2")
    place.registry.rollback(1)
    assert place.version("k2").number == 2
    assert place.registry.champion().number == 1


@pytest.mark.parametrize(
    "step",
    [
        "log_model_artifacts",
        "finalize_logged_model",
        "log_outputs",
        "create_model_version",
        "set_registered_model_alias",
        "set_model_version_tag",
    ],
)
def test_a_registration_cut_off_at_any_step_is_finished_by_the_next(
    place: Place, step, monkeypatch
):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place.registry._client, step, killed)
        with pytest.raises(KeyboardInterrupt):
            place.version("k1")
    again = Place(place.settings.home.parent)
    version = again.version("k1")
    assert (version.number, version.champion) == (1, True)
    assert len(again.registry.versions()) == 1
    assert again.registry.fetch(1)
    client = again.registry._client
    experiment = client.get_experiment_by_name(FINE_TUNING).experiment_id
    assert len(client.search_logged_models([experiment])) == 1
    assert len(client.search_runs([experiment])) == 1


def test_two_directories_keep_their_versions_apart(place: Place):
    other = Place(place.settings.home.parent, directory="other")
    run = other.registry.start_run(FINE_TUNING, "untouched", "untouched")
    other.registry.register_untouched(run)
    mine = place.registry.start_run(FINE_TUNING, "untouched", "untouched")
    assert mine != run
    place.registry.register_untouched(mine)
    place.version("k1")
    assert [len(p.registry.versions()) for p in (place, other)] == [2, 1]
    assert other.registry.fetch(1) != place.registry.fetch(1)


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_version_is_named_with_the_remedy(place: Place, damage: str):
    place.version("k1")
    place.version("k2")
    file = place.registry.fetch(2) / "adapter_model.safetensors"
    if damage == "changed":
        file.write_text("weights of k3")
    else:
        for path in sorted(file.parent.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        file.parent.rmdir()
    with pytest.raises(RegistryError, match=rf"version 2 .*{damage}.*dreamlab rollback 1$"):
        place.registry.fetch(2)
    assert place.registry.fetch(1)


def test_the_only_version_damaged_has_another_remedy(place: Place):
    place.version("k1")
    (place.registry.fetch(1) / "adapter_model.safetensors").unlink()
    with pytest.raises(RegistryError, match="restore it from a backup"):
        place.registry.fetch(1)


def test_what_could_run_code_is_not_registered(place: Place):
    (place.adapter("k1") / "training_args.bin").write_text("")
    with pytest.raises(RegistryError, match=r"training_args\.bin"):
        place.version("k1")
    assert place.registry.versions() == ()


def test_a_run_taken_up_again_is_the_same_run(place: Place):
    registry = place.registry
    first = registry.start_run(FINE_TUNING, "n", "k", params={"epochs": 2}, tags={"night": "n"})
    registry.finish_run(first, failed=True)
    assert registry.start_run(FINE_TUNING, "n", "k", params={"epochs": 3, "seed": 1}) == first
    assert registry._client.get_run(first).data.params == {"epochs": "2", "seed": "1"}
    assert registry._client.get_run(first).info.status == "RUNNING"
    assert registry.start_run(FINE_TUNING, "n") != registry.start_run(FINE_TUNING, "n")


def test_a_run_keeps_params_metrics_tags_files_and_figures(place: Place):
    from matplotlib.figure import Figure

    registry = place.registry
    run = registry.start_run(NIGHTS, "2026-01-01", params={"count": 3})
    for step in (1, 2):
        registry.log(run, metrics={"loss": 1 / step, "natural/report/f1": 0.5}, step=step)
    registry.log(run, tags={"verdict": "rejected"})
    registry.log_file(run, place.adapter("folder"), "kept")
    registry.log_figure(run, Figure(), "curve.png")
    registry.finish_run(run)
    client = registry._client
    seen = client.get_run(run)
    assert seen.data.params == {"count": "3"}
    assert seen.data.metrics == {"loss": 0.5, "natural/report/f1": 0.5}
    assert seen.data.tags["verdict"] == "rejected"
    assert seen.info.status == "FINISHED"
    assert [m.step for m in client.get_metric_history(run, "loss")] == [1, 2]
    assert {f.path for f in client.list_artifacts(run)} == {"curve.png", "kept"}


def test_a_dataset_is_linked_to_its_run_by_its_hash(place: Place):
    registry = place.registry
    dataset = export([{"prompt": "a", "completion": "b"}], place.scratch / "set", ["n1/t1"])
    run = registry.start_run(FINE_TUNING, "n")
    registry.log_dataset(run, dataset)
    seen = registry._client.get_run(run)
    linked = seen.inputs.dataset_inputs[0]
    assert dataset.sha256.startswith(linked.dataset.digest)
    assert [(t.key, t.value) for t in linked.tags] == [("mlflow.data.context", "training")]
    assert seen.data.tags["dreamlab.dataset"] == dataset.sha256
    files = {f.path for f in registry._client.list_artifacts(run, "dataset")}
    assert files == {"dataset/dataset.jsonl", "dataset/lineage.json"}


def test_a_version_is_the_output_of_its_run_with_its_scores_and_parameters(place: Place):
    place.registry.start_run(FINE_TUNING, "k1", "k1", params={"epochs": 2})
    version = place.version("k1", scores={"f1": 0.5, "f1_low": 0.4, "f1_high": 0.6})
    client = place.registry._client
    run = client.get_run(version.run_id)
    assert run.data.metrics == {"f1": 0.5}  # the view that compares runs needs no bounds
    [output] = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert [(m.key, m.value) for m in model.metrics] == [("f1", 0.5)]
    assert (model.name, model.params) == ("dreamlab-base-kern-k1", {"epochs": "2"})


def test_a_run_says_what_judged_it_and_what_it_went_on_from(place: Place):
    registry = place.registry
    place.version("k1")
    run = registry.start_run(FINE_TUNING, "k2")
    registry.log_sources(run, "ab" * 32, 12, parent=1)
    inputs = registry._client.get_run(run).inputs
    [judged], [parent] = inputs.dataset_inputs, inputs.model_inputs
    assert judged.dataset.digest == ("ab" * 32)[:36]
    assert [(t.key, t.value) for t in judged.tags] == [("mlflow.data.context", "evaluation")]
    assert parent.model_id == registry._model_of("1")
    registry.log_sources(registry.start_run(FINE_TUNING, "k3"), "ab" * 32, 12)


def test_experiments_and_runs_say_what_they_are_for(place: Place):
    registry = place.registry
    run = registry.start_run(FINE_TUNING, "k1")
    registry.describe_run(run, "# Report\n" + "x" * 9000)
    client = registry._client
    tags = client.get_experiment_by_name(FINE_TUNING).tags
    assert tags["mlflow.note.content"].startswith("One run a training")
    note = client.get_run(run).data.tags["mlflow.note.content"]
    assert note.startswith("# Report\nxx")


def test_system_metrics_are_logged_while_the_work_goes_on(place: Place, monkeypatch):
    monkeypatch.setattr("dreamlab.training.registry.SAMPLING_SECONDS", 0.05)
    registry = place.registry
    run = registry.start_run(FINE_TUNING, "k1")
    deadline = time.monotonic() + 30
    with registry.system_metrics(run):
        while not (seen := registry._client.get_run(run).data.metrics):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= set(
        seen
    )


def test_versions_are_read_without_mlflow_once_they_are_cached(place: Place):
    place.version("k1")
    code = (
        "import sys; from dreamlab.settings import Settings;"
        "from dreamlab.training.registry import Registry;"
        f"r = Registry(Settings(home={str(place.settings.home)!r}));"
        "print(r.champion().number, r.fetch(1).is_dir(), 'mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "True", "False"]


def test_what_mlflow_was_told_elsewhere_is_seen_in_spite_of_the_cache(place: Place):
    place.version("k1")
    place.version("k2")
    place.registry._client.set_registered_model_alias(place.registry.name, "champion", "1")
    assert place.registry.champion().number == 1


def test_two_processes_may_register_at_once(place: Place):
    for key in ("k1", "k2"):
        place.adapter(key)
    code = (
        "import sys; from pathlib import Path; from tests.training.conftest import Place;"
        "place = Place(Path(sys.argv[1]));"
        "[place.version(key) for key in sys.argv[2:]]"
    )
    root = place.settings.home.parent
    command = [sys.executable, "-c", code, str(root)]
    started = [subprocess.Popen([*command, *keys]) for keys in (("k1", "k2"), ("k2", "k1"))]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    versions = place.registry.versions()
    assert sorted(v.key for v in versions) == ["k1", "k2"]
    assert [v.number for v in versions] == [1, 2]
    assert all(place.registry.fetch(v.number) for v in versions)


def test_a_broken_database_is_one_line(tmp_path: Path):
    place = Place(tmp_path)
    place.settings.mlflow_path.mkdir(parents=True)
    (place.settings.mlflow_path / "mlflow.db").write_text("this is no database" * 100)
    with pytest.raises(RegistryError, match=r"^cannot list versions at .*mlflow\.db: .*$"):
        place.registry.versions()


def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path: Path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageError, match="cannot start a run"):
        Place(tmp_path).registry.start_run(NIGHTS, "n")


def test_a_server_that_is_not_there_is_one_line_without_its_password(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings = Settings(home=tmp_path, tracking_uri="http://me:secret@127.0.0.1:9")
    with pytest.raises(RegistryError, match="cannot list versions") as caught:
        Registry(settings).versions()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["it's", ""])
def test_a_key_that_cannot_be_searched_for_is_refused(place: Place, key: str):
    with pytest.raises(RegistryError, match="bad key"):
        place.registry.register(place.adapter("x"), place.registry.start_run(NIGHTS, "n"), key)
