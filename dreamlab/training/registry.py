"""The MLflow door: runs with all they leave, and the registered versions of the base model.

Runs are addressed by their ids, never by an ambient active run. A training is known by its key:
to start or register it again finds what is there. Whether a challenger deserves to be registered
is `gate.py`'s business.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from dreamlab.errors import DreamLabError, RegistryError, StorageError
from dreamlab.settings import Settings
from dreamlab.tracing import Trace
from dreamlab.training.examples import LINEAGE, Dataset
from dreamlab.training.versions import (
    PREFIX,
    Version,
    folder_hash,
    points,
    read_cache,
    safe_hash,
    stamp,
    version_from,
    version_tags,
    write_cache,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["FINE_TUNING", "NIGHTS", "QUESTIONS", "Registry", "Version"]

NIGHTS, FINE_TUNING, QUESTIONS = "dream-nights", "fine-tuning", "questions"
PURPOSES = {
    NIGHTS: "One run a night: its counts and report; the traces of its dreams.",
    FINE_TUNING: "One run a training of the base model: parameters, curves, dataset, scores on the "
    "half of the benchmark that is only reported, and the gate's verdict.",
    QUESTIONS: "The traces of questions that people asked, one session a day.",
}
"""The experiments, one a purpose, and what MLflow shows as their descriptions."""
CHAMPION = "champion"
KIND = "mlflow.experimentKind"
KINDS = {
    NIGHTS: "custom_model_development",
    FINE_TUNING: "custom_model_development",
    QUESTIONS: "genai_development",
}
"""What MLflow opens an experiment with: its runs, or its traces."""
NOTE = "mlflow.note.content"
"""The tag that MLflow shows as the description of an experiment or a run, in Markdown."""
NOTE_LENGTH = 5000
MOST_AT_ONCE = 100
"""Traces that MLflow deletes in one call."""
SAMPLING_SECONDS = 5
LOCK_SECONDS = 120
COLUMNS = [{"type": "string", "name": name, "required": True} for name in ("prompt", "completion")]
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "GIT_PYTHON_REFRESH": "quiet",
}

Tags = Mapping[str, object]


class Registry:
    """Runs and versions of one installation, at its MLflow.

    To build one costs nothing: MLflow is imported, and its database made, at the first call that
    needs it. Every method may raise RegistryError (MLflow refuses or cannot be reached) and
    StorageError (the disk does).
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"dreamlab-base-{settings.directory}"
        self._uri = settings.resolved_tracking_uri
        self._home = settings.mlflow_path
        self._database = None if settings.tracking_uri else self._home / "mlflow.db"

    # Runs

    def start_run(
        self,
        experiment: str,
        name: str,
        key: str = "",
        params: Tags | None = None,
        tags: Tags | None = None,
    ) -> str:
        """Starts a run, or takes up the one of that key again, and returns its id.

        A run taken up keeps the values of params that it has; MLflow lets none change.
        """
        with self._door("start a run"), self._alone():
            run_id = self._run_of(experiment, key) if key else None
            if run_id is None:
                run_id = self._new_run(experiment, name, key)
            else:
                self._client.update_run(run_id, status="RUNNING")
            kept = self._client.get_run(run_id).data.params
        new = {name: value for name, value in (params or {}).items() if name not in kept}
        self.log(run_id, params=new, tags=tags)
        return run_id

    def log(
        self,
        run_id: str,
        params: Tags | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Tags | None = None,
        step: int = 0,
    ) -> None:
        """Adds to a run: `params` once for all, `metrics` at a step, `tags` that may change."""
        with self._door("log to a run"):
            client, now = self._client, _milliseconds()
            from mlflow.entities import Metric, Param, RunTag

            client.log_batch(
                run_id,
                metrics=[Metric(k, float(v), now, step) for k, v in (metrics or {}).items()],
                params=[Param(k, str(v)) for k, v in (params or {}).items()],
                tags=[RunTag(k, str(v)) for k, v in (tags or {}).items()],
            )

    def log_dataset(self, run_id: str, dataset: Dataset, context: str = "training") -> None:
        """Links an exported dataset to a run: its hash as input, its file and lineage as files."""
        with self._door("log a dataset"):
            client = self._client
            from mlflow.entities import Dataset as Logged
            from mlflow.entities import DatasetInput, InputTag

            logged = Logged(
                name=dataset.path.parent.name,
                digest=dataset.sha256[:36],  # MLflow takes no longer one; the whole is a tag
                source_type="local",
                source=json.dumps({"uri": dataset.path.as_uri()}),
                schema=json.dumps({"mlflow_colspec": COLUMNS}),
                profile=json.dumps({"num_rows": dataset.count}),
            )
            tags = [InputTag("mlflow.data.context", context)]
            client.log_inputs(run_id, [DatasetInput(logged, tags)])
            for path in (dataset.path, dataset.path.with_name(LINEAGE)):
                client.log_artifact(run_id, str(path), "dataset")
        self.log(run_id, tags={f"{PREFIX}dataset": dataset.sha256})

    def log_sources(
        self, run_id: str, benchmark: str, questions: int, parent: int | None = None
    ) -> None:
        """Links the benchmark that judged a run, and the version that it went on from, to it."""
        with self._door("log the sources of a run"):
            from mlflow.entities import Dataset as Logged
            from mlflow.entities import DatasetInput, InputTag, LoggedModelInput

            judged = Logged(
                name="benchmark",
                digest=benchmark[:36],
                source_type="code",
                source=json.dumps({"directory": self.settings.directory, "sha256": benchmark}),
                profile=json.dumps({"num_rows": questions}),
            )
            model = self._model_of(str(parent)) if parent else ""
            self._client.log_inputs(
                run_id,
                [DatasetInput(judged, [InputTag("mlflow.data.context", "evaluation")])],
                [LoggedModelInput(model)] if model else [],
            )

    def describe_run(self, run_id: str, page: str) -> None:
        """Gives a run its description, in Markdown; one that is too long for MLflow is cut."""
        self.log(run_id, tags={NOTE: page[:NOTE_LENGTH]})

    @contextmanager
    def system_metrics(self, run_id: str) -> Iterator[None]:
        """Logs processor, memory, disk and GPU to a run meanwhile, every few seconds.

        They are an extra: if MLflow goes away meanwhile, they end early and the work goes on.
        """
        with self._door("log system metrics"):
            _ = self._client
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            monitor = SystemMetricsMonitor(
                run_id, SAMPLING_SECONDS, resume_logging=True, tracking_uri=self._uri
            )
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()

    def log_file(self, run_id: str, path: Path, folder: str = "") -> None:
        """Keeps a file, or the files of a folder, with a run."""
        with self._door(f"log {path}"):
            log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
            log(run_id, str(path), folder or None)

    def log_figure(self, run_id: str, figure: Any, name: str) -> None:
        """Keeps a matplotlib figure with a run, as a picture of that file name."""
        with self._door(f"log {name}"):
            self._client.log_figure(run_id, figure, name)

    def finish_run(self, run_id: str, failed: bool = False) -> None:
        """Ends a run."""
        with self._door("finish a run"):
            self._client.set_terminated(run_id, "FAILED" if failed else "FINISHED")
        self.versions()  # the run has touched the database: renew the cache while MLflow is there

    def _run_of(self, experiment: str, key: str) -> str | None:
        query = (
            f"tags.`{PREFIX}key` = '{_checked(key)}' AND "
            f"tags.`{PREFIX}directory` = '{self.settings.directory}'"
        )
        runs = self._client.search_runs([self._experiment(experiment)], query, max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _new_run(self, experiment: str, name: str, key: str) -> str:
        tags = {f"{PREFIX}directory": self.settings.directory}
        if key:
            tags[f"{PREFIX}key"] = key
        run = self._client.create_run(self._experiment(experiment), run_name=name, tags=tags)
        return str(run.info.run_id)

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found:
            return str(found.experiment_id)
        location = (self._home / "artifacts" / name).as_uri() if self._database else None
        tags = {NOTE: PURPOSES[name], KIND: KINDS[name]} if name in PURPOSES else {}
        return str(self._client.create_experiment(name, artifact_location=location, tags=tags))

    # Traces

    def log_traces(self, experiment: str, traces: Iterable[Trace], run_id: str = "") -> int:
        """Sends traces to an experiment, and to a run where it is given; returns how many.

        Each appears with the version that took part. The same trace again adds nothing.
        """
        from dreamlab.training.traces import send

        models: dict[str, str] = {}
        count = 0
        with self._door("log traces"):
            place = self._experiment(experiment)
            for trace in traces:
                if trace.version not in models:
                    models[trace.version] = self._model_of(trace.version)
                send(self._uri, place, trace, run_id, models[trace.version])
                count += 1
        return count

    def delete_traces(self, ids: Sequence[str]) -> int:
        """Deletes the traces of these ids, where there are such; returns how many there were."""
        if not ids or (self._database and not self._database.exists()):
            return 0
        deleted = 0
        with self._door("delete traces"):
            for name in (QUESTIONS, NIGHTS):
                experiment = self._client.get_experiment_by_name(name)
                if experiment is None:
                    continue
                for start in range(0, len(ids), MOST_AT_ONCE):
                    deleted += self._client.delete_traces(
                        experiment.experiment_id,
                        trace_ids=[f"tr-{id_}" for id_ in ids[start : start + MOST_AT_ONCE]],
                    )
        return deleted

    def _model_of(self, version: str) -> str:
        """The id of a version's logged model; empty where there is no such version."""
        from mlflow.exceptions import MlflowException

        if not version.isdigit():
            return ""
        try:
            source = self._client.get_model_version(self.name, version).source
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return ""
            raise
        return (source or "").removeprefix("models:/")

    # Versions

    def register(
        self,
        folder: Path,
        run_id: str,
        key: str,
        *,
        night: str = "",
        dataset: str = "",
        parent: int | None = None,
        benchmark: str = "",
        scores: Mapping[str, float] | None = None,
        description: str = "",
        untouched: bool = False,
    ) -> Version:
        """Registers a folder of plain files as the next version and makes it champion.

        The same `key` again gives the version it gave before, finished if it was cut off; a
        rollback since then stands.

        Raises:
            RegistryError: the folder is empty or holds files that loading could run code from.
        """
        tags = version_tags(
            scores or {},
            key=key,
            night=night,
            dataset=dataset,
            parent=parent or "",
            benchmark=benchmark,
            sha256=safe_hash(folder),
            untouched="yes" if untouched else "",
        )
        with self._door(f"register {folder}"), self._alone():
            number = self._version_of(key)
            if number is None:
                number = self._add(folder, run_id, key, tags, description, scores or {})
            self._promote(number)
        return self.version(number)

    def register_untouched(
        self,
        run_id: str,
        benchmark: str = "",
        scores: Mapping[str, float] | None = None,
        folder: Path | None = None,
    ) -> Version:
        """Version 1: the starting model with its score, the floor for all others.

        It has no adapter: its files are those of `folder`, or a note that names the model. Where
        versions exist already the first is returned.
        """
        if existing := self.versions():
            return existing[0]
        with tempfile.TemporaryDirectory() as scratch:
            if folder is None:
                folder = Path(scratch)
                note = {"base_model": self.settings.base_model, "adapter": None}
                (folder / "base_model.json").write_text(json.dumps(note) + "\n", encoding="utf-8")
            return self.register(
                folder,
                run_id,
                "untouched",
                benchmark=benchmark,
                scores=scores,
                description="The starting model, untouched.",
                untouched=True,
            )

    def versions(self) -> tuple[Version, ...]:
        """All versions, the oldest first: from the cache where it is good, else from MLflow."""
        if self._database and not self._database.exists():
            return ()
        mark = stamp(self._database) if self._database else ""
        cached = read_cache(self._cache, mark) if mark else None
        if cached is not None:
            return cached
        with self._door("list versions"):
            found = self._read_versions()
        if mark:
            write_cache(self._cache, mark, found)
        return found

    def version(self, number: int) -> Version:
        """One version.

        Raises:
            RegistryError: there is no such version.
        """
        versions = self.versions()
        for version in versions:
            if version.number == number:
                return version
        known = ", ".join(str(version.number) for version in versions) or "none yet"
        raise RegistryError(f"no version {number} of {self.name}: there are {known}")

    def champion(self) -> Version | None:
        """The version that answers: where the alias points, else the latest; None before any."""
        return next((version for version in self.versions() if version.champion), None)

    def rollback(self, number: int) -> Version:
        """Points the alias at another version, older or newer.

        Raises:
            RegistryError: there is no such version.
        """
        self.version(number)
        with self._door(f"roll back to version {number}"):
            self._client.set_registered_model_alias(self.name, CHAMPION, str(number))
        return self.version(number)

    def mark(self, number: int, name: str, value: str) -> Version:
        """Notes something on a version, as a tag of that name; an earlier value is replaced.

        Raises:
            RegistryError: there is no such version.
        """
        self.version(number)
        with self._door(f"mark version {number}"):
            self._client.set_model_version_tag(self.name, str(number), f"{PREFIX}{name}", value)
        return self.version(number)

    def fetch(self, number: int) -> Path:
        """The folder with a version's files, downloaded if they are elsewhere, hash verified.

        Raises:
            RegistryError: the version, or a file of it, is missing or has changed.
        """
        version = self.version(number)
        folder = self._local(version)
        try:
            sound = folder_hash(folder) == version.sha256
        except OSError:
            sound = False
        if not sound:
            state = "changed since it was registered" if folder.is_dir() else "missing"
            remedy = self._remedy(number)
            if not folder.is_dir() and not folder.is_relative_to(self.settings.home):
                remedy = "a data folder that was moved must be told so, see docs/operations.md"
            raise RegistryError(
                f"version {number} of {self.name} is damaged: {folder} is {state}; {remedy}"
            )
        return folder

    def _local(self, version: Version) -> Path:
        place = urlparse(version.location)
        if place.scheme in ("", "file"):
            return Path(url2pathname(place.path))
        folder = self.settings.home / "versions" / f"{self.name}-{version.number}"
        if not folder.is_dir() or folder_hash(folder) != version.sha256:
            with self._door(f"download version {version.number}"):
                from mlflow.artifacts import download_artifacts

                folder.mkdir(parents=True, exist_ok=True)
                uri = f"models:/{self.name}/{version.number}"
                download_artifacts(uri, dst_path=str(folder), tracking_uri=self._uri)
        return folder

    def _remedy(self, damaged: int) -> str:
        others = [v.number for v in self.versions() if v.number != damaged]
        older = [number for number in others if number < damaged]
        if not others:
            return "restore it from a backup"
        return f"answer from another one: dreamlab rollback {max(older or others)}"

    def _read_versions(self) -> tuple[Version, ...]:
        found = self._client.search_model_versions(f"name = '{self.name}'")
        if not found:
            return ()
        aliases = self._client.get_registered_model(self.name).aliases
        versions = sorted(map(self._version, found), key=lambda version: version.number)
        best = int(aliases.get(CHAMPION, versions[-1].number))
        return tuple(replace(v, champion=v.number == best) for v in versions)

    def _version(self, found: ModelVersion) -> Version:
        return version_from(
            number=int(found.version),
            created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
            tags=found.tags,
            description=found.description or "",
            run_id=found.run_id or "",
            location=self._client.get_model_version_download_uri(self.name, str(found.version)),
        )

    def _version_of(self, key: str) -> int | None:
        found = self._client.search_model_versions(
            f"name = '{self.name}' and tags.`{PREFIX}key` = '{_checked(key)}'"
        )
        return int(found[0].version) if found else None

    def _add(
        self,
        folder: Path,
        run_id: str,
        key: str,
        tags: dict[str, str],
        description: str,
        scores: Mapping[str, float],
    ) -> int:
        """The plain files as a logged model of the run, and that as the next version.

        The version appears last and with all its tags, so that a killed registration leaves at
        most a logged model without a version, which the next try removes.
        """
        import mlflow
        from mlflow.entities import LoggedModelOutput, Metric

        client = self._client
        run = client.get_run(run_id)
        experiment = run.info.experiment_id
        name = f"{self.name}-{_checked(key)}"
        for leftover in client.search_logged_models([experiment], f"name = '{name}'"):
            client.delete_logged_model(leftover.model_id)
        model = client.create_logged_model(
            experiment,
            name=name,
            source_run_id=run_id,
            tags=tags,
            params=run.data.params,
            model_type="adapter",
        )
        client.log_model_artifacts(model.model_id, str(folder))
        client.finalize_logged_model(model.model_id, "READY")
        now = _milliseconds()
        client.log_batch(
            run_id,
            [Metric(k, float(v), now, 0, model.model_id) for k, v in points(scores).items()],
        )
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
        if not client.search_registered_models(f"name = '{self.name}'"):
            client.create_registered_model(
                self.name,
                description=f"The base model of the directory {self.settings.directory}: version 1 "
                "is untouched, every later one passed the gate against the champion before it. "
                "The alias champion answers.",
            )
        # MLflow's store resolves models:/ by the global tracking URI, not by the client's own.
        mlflow.set_tracking_uri(self._uri)
        version = client.create_model_version(
            self.name,
            source=f"models:/{model.model_id}",
            run_id=run_id,
            tags=tags,
            description=description,
            model_id=model.model_id,
        )
        return int(version.version)

    def _promote(self, number: int) -> None:
        """Makes a version champion, once: a later rollback is not undone by a repeated night."""
        found = self._client.get_model_version(self.name, str(number))
        if f"{PREFIX}promoted" in found.tags:
            return
        self._client.set_registered_model_alias(self.name, CHAMPION, str(number))
        self._client.set_model_version_tag(
            self.name, str(number), f"{PREFIX}promoted", datetime.now(UTC).isoformat()
        )

    # The door itself

    @property
    def _cache(self) -> Path:
        return self._home / f"versions-{self.settings.directory}.json"

    @cached_property
    def _client(self) -> MlflowClient:
        """MLflow's client; a new database is made and migrated by one process at a time."""
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)  # read when MLflow is imported
        import mlflow

        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        mlflow.set_tracking_uri(self._uri)
        with self._locked():
            client = mlflow.MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
            client.search_experiments(max_results=1)
        return client

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One find-or-create at a time, across processes on this machine."""
        _ = self._client  # it takes the lock itself
        with self._locked():
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """SQLite's own lock on an empty file: portable, and a killed process lets go of it."""
        self._home.mkdir(parents=True, exist_ok=True)
        path = self._home / "lock.db"
        with closing(sqlite3.connect(path, LOCK_SECONDS, isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            yield

    @contextmanager
    def _door(self, doing: str) -> Iterator[None]:
        try:
            yield
        except DreamLabError:
            raise
        except OSError as error:
            raise StorageError(
                f"cannot {doing}: {error.filename or self._home}: {error.strerror or error}"
            ) from error
        except Exception as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            message = f"cannot {doing} at {self._uri}: {said}"
            raise RegistryError(re.sub(r"//[^@/\s]*@", "//", message)) from error  # no password


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _checked(key: str) -> str:
    """A key that can stand in a filter of MLflow, which knows no escapes."""
    if "'" in key or not key:
        raise RegistryError(f"bad key {key!r}: it must not be empty or hold a quote")
    return key
