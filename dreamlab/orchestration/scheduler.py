"""Deployments from outside: which there are, starting one, and serving them without a server.

`prefect.yaml` is the only list. `trigger` asks a Prefect API to run a deployment: the configured
one, else the one that `dreamlab up` or a serving process keeps on this machine. `Serving` runs the
same flows on the same schedules where no Prefect server is configured: a Prefect server of our own
on loopback, as a child process, and Prefect's runner in a thread of this process; each flow run is
a process of its own, so that the host neither imports nor holds a model. It decides nothing about
whether a run is due: the flow does.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from dreamlab.errors import DreamLabError, SchedulerError
from dreamlab.orchestration import services
from dreamlab.settings import Settings

SERVING = "serving"
"""The service that a process is which serves the deployments."""

CONNECT_SECONDS = 5
"""Longest wait for a connection to the server; Prefect tries six times."""

TEND_SECONDS = 20.0
"""How often a serving process looks for runs that were killed."""

LISTED_ZONE = "America/Los_Angeles"
"""The time zone that prefect.yaml is written in."""

LISTED_DREAMS = "0 2 * * *"
"""When prefect.yaml dreams; the setting `dream_time` takes its place."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as prefect.yaml lists it. `crons` are in the installation's time zone."""

    name: str
    entrypoint: str
    description: str
    crons: tuple[str, ...]
    tags: tuple[str, ...]
    queue: str
    triggers: tuple[Mapping[str, Any], ...] = ()

    @property
    def full_name(self) -> str:
        """`flow/deployment`, as Prefect's commands take it."""
        return f"{self.name}/{self.name}"


@dataclass(frozen=True, slots=True)
class Started:
    """A flow run that was asked for, and where to watch it."""

    run_id: str
    name: str
    url: str


def prefect_yaml() -> Path:
    """The file that lists the deployments: of the working copy, else of the installation.

    Raises:
        SchedulerError: it is in neither.
    """
    beside = Path(__file__).parents[2] / "prefect.yaml"
    if beside.exists():
        return beside
    for file in metadata.files("dreamlab") or ():
        if file.name == "prefect.yaml":
            return Path(str(file.locate()))
    raise SchedulerError("prefect.yaml is missing from this installation; install dreamlab again")


def deployments(settings: Settings | None = None) -> tuple[Deployment, ...]:
    """What prefect.yaml lists, in its order; with settings, on the installation's schedules.

    Raises:
        SchedulerError: the file is missing or damaged.
    """
    path = prefect_yaml()
    try:
        text = localized(settings) if settings else path.read_text(encoding="utf-8")
        listed = yaml.safe_load(text)["deployments"]
        return tuple(
            Deployment(
                d["name"],
                d["entrypoint"],
                d["description"],
                tuple(s["cron"] for s in d["schedules"]),
                tuple(d["tags"]),
                d["work_pool"]["work_queue_name"],
                tuple(d.get("triggers", ())),
            )
            for d in listed
        )
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise SchedulerError(f"{path} is damaged ({error}); install dreamlab again") from None


def localized(settings: Settings) -> str:
    """The text of prefect.yaml with the installation's time zone and its time of dreaming."""
    hour, minute = map(int, settings.dream_time.split(":"))
    text = prefect_yaml().read_text(encoding="utf-8").replace(LISTED_ZONE, settings.time_zone)
    return text.replace(f'"{LISTED_DREAMS}"', f'"{minute} {hour} * * *"')


def configured_api() -> str:
    """The Prefect API that the environment or the active profile names; empty if none."""
    from prefect.settings import PREFECT_API_URL

    return str(PREFECT_API_URL.value() or "")


def api_url(settings: Settings) -> str:
    """The Prefect API to talk to: the configured one, else one kept up here; empty if none."""
    if configured := configured_api():
        return configured
    kept = services.find(settings.home, "prefect")
    return f"{kept.url}/api" if kept else ""


def trigger(
    deployment: str, parameters: Mapping[str, Any] | None = None, *, settings: Settings
) -> Started:
    """Ask for a run of a deployment now; returns at once with its id and where to watch it.

    Raises:
        SchedulerError: no Prefect API is there, it cannot be reached, it has not got the
            deployment, or the parameters do not pass its validation.
    """
    known = {d.name: d for d in deployments()}
    if deployment not in known:
        raise SchedulerError(f"no deployment {deployment!r}: there are {', '.join(known)}")
    with api(settings) as client:
        found = client.read_deployment_by_name(known[deployment].full_name)
        accepted = found.parameter_openapi_schema.get("properties", {})
        for name in parameters or {}:
            if name not in accepted:
                raise SchedulerError(
                    f"{deployment} refuses the parameter {name!r}: it takes {', '.join(accepted)}"
                )
        run = client.create_flow_run_from_deployment(found.id, parameters=dict(parameters or {}))
        return Started(str(run.id), run.name, run_url(str(client.api_url), str(run.id)))


def run_url(api: str, run_id: str) -> str:
    """Where the UI of a Prefect server shows a flow run."""
    return f"{api.rstrip('/').removesuffix('/api')}/runs/flow-run/{run_id}"


@contextmanager
def api(settings: Settings) -> Iterator[Any]:
    """Prefect's client of the API to talk to; its failures come out in one line.

    It waits a minute, Prefect's default, on a server that is there but busy: one on SQLite answers
    503 while its database is locked.

    Raises:
        SchedulerError: no API is there, it cannot be reached, or it refuses.
    """
    url = api_url(settings)
    if not url:
        raise SchedulerError("no Prefect server: run `dreamlab up`, or set PREFECT_API_URL")
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
    from prefect.settings import PREFECT_API_URL, temporary_settings

    patience = {"timeout": httpx.Timeout(60, connect=CONNECT_SECONDS)}
    try:
        with (
            temporary_settings({PREFECT_API_URL: url}),
            get_client(sync_client=True, httpx_settings=patience) as client,
        ):
            yield client
    except ObjectNotFound:
        raise SchedulerError(
            f"the Prefect server at {url} has not got what was asked for; "
            "deploy again: `dreamlab up`, or `prefect --no-prompt deploy --all`"
        ) from None
    except PrefectHTTPStatusError as error:
        raise SchedulerError(
            f"the Prefect server at {url} refuses: {error.response.text[:200]}"
        ) from None
    except (httpx.HTTPError, OSError) as error:
        raise SchedulerError(
            f"the Prefect server at {url} cannot be reached ({type(error).__name__}); "
            "start it, or correct PREFECT_API_URL"
        ) from None


class Serving:
    """The deployments served by this process, without a Prefect server of the operator's.

    One process of a home serves; a server left behind by a killed one is taken over.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._server: services.Service | None = None
        self._url = ""
        self._thread: threading.Thread | None = None
        self._runner: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def start(self, timeout: float = 180) -> str:
        """Start the server and the runner; returns the UI's address once runs are taken.

        Raises:
            SchedulerError: either does not start in `timeout` seconds, or another process serves
                this home already.
        """
        home = self.settings.home
        if services.find(home, "up") or services.find(home, SERVING):
            raise SchedulerError(f"the deployments of {home} are served already")
        self._server = services.prefect_server(self.settings)
        url = self._url = self._server.start(timeout)
        services.keep_this_process(home, SERVING)
        self._thread = threading.Thread(target=self._serve, args=(f"{url}/api",), daemon=True)
        self._thread.start()
        if not self._ready.wait(timeout) or self._failure:
            self.stop()
            raise SchedulerError(f"the deployments cannot be served: {self._failure or 'timeout'}")
        return url

    def stop(self) -> None:
        """Stop runner and server; a run under way is ended as when its worker is stopped."""
        if self._loop and self._runner and self._runner.started:
            asyncio.run_coroutine_threadsafe(self._stop_runner(), self._loop)
        if self._thread:
            self._thread.join(30)
        if self._server:
            services.forget(self.settings.home, SERVING)
            self._server.stop()

    def _serve(self, url: str) -> None:
        try:
            asyncio.run(self._run(url))
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _run(self, url: str) -> None:
        from prefect.runner import Runner
        from prefect.settings import PREFECT_API_URL, temporary_settings

        self._loop = asyncio.get_running_loop()
        with temporary_settings({PREFECT_API_URL: url}):
            self._runner = Runner(name="dreamlab", pause_on_shutdown=False, query_seconds=2)
            for deployment in _served(self.settings):
                await self._runner.aadd_deployment(deployment)
            started = asyncio.create_task(self._runner.start())
            while not self._runner.started and not started.done():
                await asyncio.sleep(0.05)
            self._ready.set()
            tended = asyncio.create_task(self._tend())
            try:
                await started
            finally:
                tended.cancel()

    async def _tend(self) -> None:
        """Mark and resume what was killed: under this process, or under one before it."""
        from dreamlab.orchestration import janitor

        log = logging.getLogger("dreamlab")
        while True:
            try:
                for line in await asyncio.to_thread(janitor.sweep, self.settings):
                    log.warning(line)
            except DreamLabError as error:
                log.warning("runs are not looked after: %s", error)
            await asyncio.sleep(TEND_SECONDS)

    async def _stop_runner(self) -> None:
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: f"{self._url}/api"}):
            await self._runner.astop()


def _served(settings: Settings) -> list[Any]:
    """prefect.yaml's deployments as Prefect serves them: without a work pool."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.deployments.runner import RunnerDeployment
    from prefect.events import DeploymentTriggerTypes
    from pydantic import TypeAdapter

    triggers: TypeAdapter[Any] = TypeAdapter(list[DeploymentTriggerTypes])
    return [
        RunnerDeployment.from_entrypoint(
            d.entrypoint,
            d.name,
            schedules=[CronSchedule(cron=c, timezone=settings.time_zone) for c in d.crons],
            description=d.description,
            tags=list(d.tags),
            concurrency_limit=None
            if d.queue == "interactive"
            else ConcurrencyLimitConfig(
                limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
            ),
            triggers=triggers.validate_python(list(d.triggers)),
        )
        for d in deployments(settings)
    ]
