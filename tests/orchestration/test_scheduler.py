"""Deployments without a server: the list, its schedules, and what is said where none is there."""

import asyncio
import importlib
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dreamlab.errors import SchedulerError
from dreamlab.orchestration import scheduler, services
from dreamlab.orchestration.window import Window
from dreamlab.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return Settings(home=tmp_path)


def test_there_are_three_deployments_and_each_is_a_flow_of_its_name() -> None:
    listed = scheduler.deployments()
    assert {d.name for d in listed} == {"dream-session", "solve-task", "finetune-base-model"}
    for deployment in listed:
        module, name = deployment.entrypoint.rsplit(".", 1)
        assert getattr(importlib.import_module(module), name).name == deployment.name


def test_every_parameter_explains_itself_in_the_form() -> None:
    from prefect.utilities.callables import parameter_schema

    for deployment in scheduler.deployments():
        module, name = deployment.entrypoint.rsplit(".", 1)
        schema = parameter_schema(getattr(importlib.import_module(module), name))
        for parameter in schema.properties.values():
            assert len(parameter["description"]) > 20


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Europe/Berlin", "Asia/Kathmandu"])
def test_every_schedule_lies_inside_downtime_all_the_year(zone: str) -> None:
    from prefect.server.schemas.schedules import CronSchedule

    window = Window(22, 6, ZoneInfo(zone))
    for deployment in scheduler.deployments():
        for cron in deployment.crons:
            schedule = CronSchedule(cron=cron, timezone=zone)
            dates = asyncio.run(schedule.get_dates(400, start=datetime(2026, 10, 20, tzinfo=UTC)))
            assert all(window.contains(date) for date in dates)


def test_users_come_before_the_night() -> None:
    queues = [d.queue for d in scheduler.deployments()]
    assert queues[0] == "interactive"  # a server ranks queues by age
    assert set(queues[1:]) == {"night"}


def test_schedules_are_put_into_the_time_zone_of_the_installation() -> None:
    text = scheduler.localized(Settings(time_zone="Europe/Berlin"))
    assert text.count("timezone: Europe/Berlin") == 3
    assert "Los_Angeles" not in text


def test_without_a_server_the_remedy_is_named(settings: Settings) -> None:
    with pytest.raises(SchedulerError, match="dreamlab up"):
        scheduler.trigger("dream-session", settings=settings)


def test_an_unreachable_server_is_not_taken_for_an_absent_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = f"http://127.0.0.1:{services.free_port()}/api"
    with (
        temporary_settings({PREFECT_API_URL: url}),
        pytest.raises(SchedulerError, match=r"cannot be reached.*PREFECT_API_URL"),
    ):
        scheduler.trigger("dream-session", settings=settings)


def test_a_server_whose_database_is_locked_for_a_while_is_waited_for(settings: Settings) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    answers = [(503, b'{"exception_message":"Service Unavailable"}')] * 3 + [(200, b'"hello"')]

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.pop(0)
            self.send_response(status)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api"
        try:
            with temporary_settings({PREFECT_API_URL: url}), scheduler.api(settings) as client:
                assert client.hello().json() == "hello"
        finally:
            server.shutdown()
    assert answers == []


def test_an_unknown_deployment_names_the_known_ones(settings: Settings) -> None:
    with pytest.raises(SchedulerError, match="solve-task"):
        scheduler.trigger("dream", settings=settings)
