"""The web API as a client meets it: shapes, refusals, who may ask, streams, limits."""

from __future__ import annotations

import hmac
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from dreamlab.api.problems import problem_of
from dreamlab.errors import SettingsError
from tests.api.conftest import BEARER, PATH, QUESTION, TOKEN, Hosting, parts


def refused(response: TestResponse, status: int, error: str) -> dict[str, str]:
    assert response.status_code == status, response.text
    assert response.is_json
    problem: dict[str, str] = response.get_json()
    assert set(problem) == {"error", "message", "hint"}
    assert problem["error"] == error
    assert all(problem.values())
    return problem


def conforms(client: FlaskClient, response: TestResponse, path: str, method: str) -> None:
    """The answer is one that the OpenAPI document describes."""
    document = client.get(f"{PATH}/openapi.json").get_json()
    operation = document["paths"][path][method]
    described = operation["responses"][str(response.status_code)]["content"]
    schema = described[response.mimetype]["schema"]
    whole = {**schema, "components": document["components"]}
    Draft202012Validator(whole).validate(response.get_json())


def test_status_says_how_the_lab_stands_and_shows_no_path(client: FlaskClient) -> None:
    response = client.get(f"{PATH}/status")
    conforms(client, response, "/status", "get")
    status = response.get_json()
    assert status["directory"] == "kern"
    assert status["version"] is None
    assert status["dreaming"] is False
    assert "/home" not in response.text
    assert "sqlite" not in response.text


def test_a_question_is_answered_with_the_rows_that_it_cites(client: FlaskClient) -> None:
    response = client.post(f"{PATH}/solve", json={"task": QUESTION})
    conforms(client, response, "/solve", "post")
    answer = response.get_json()
    assert answer["referral"]["needs"] == ["food"]
    assert [s["id"] for s in answer["services"]] == answer["referral"]["service_ids"]
    assert answer["services"][0]["name"] in answer["text"]
    assert answer["roles"] is None


def test_roles_are_told_when_asked_for(client: FlaskClient) -> None:
    response = client.post(f"{PATH}/solve", json={"task": QUESTION, "roles": True})
    conforms(client, response, "/solve", "post")
    assert [r["role"] for r in response.get_json()["roles"]][:2] == ["team", "lead"]


def test_the_answer_before_gives_a_follow_up_its_sense(client: FlaskClient) -> None:
    before = client.post(f"{PATH}/solve", json={"task": "free groceries in Delano"}).get_json()
    follow_up = {"task": "and in Taft?", "context": before["referral"]}
    referral = client.post(f"{PATH}/solve", json=follow_up).get_json()["referral"]
    assert (referral["needs"], referral["place"]) == (["food"], "Taft")


@pytest.mark.parametrize("how", ["header", "field"])
def test_a_stream_tells_each_role_and_then_the_answer(client: FlaskClient, how: str) -> None:
    accept = {"Accept": "text/event-stream"} if how == "header" else {}
    body = {"task": QUESTION, **({"stream": True} if how == "field" else {})}
    response = client.post(f"{PATH}/solve", json=body, headers=accept)
    assert response.mimetype == "text/event-stream"
    events = re.findall(r"event: (\w+)\ndata: (.+)\n\n", response.text)
    assert [name for name, _ in events] == ["role"] * 4 + ["answer"]
    assert json.loads(events[0][1])["role"] == "resource_specialist"
    plain = client.post(f"{PATH}/solve", json={"task": QUESTION}).get_json()
    assert json.loads(events[-1][1])["text"] == plain["text"]


def test_a_stream_of_a_question_that_says_nothing_never_begins(client: FlaskClient) -> None:
    refused(client.post(f"{PATH}/solve", json={"task": "?!", "stream": True}), 422, "invalid")


def test_memories_are_recalled(client: FlaskClient) -> None:
    response = client.get(f"{PATH}/memories", query_string={"query": "a meal", "limit": 2})
    conforms(client, response, "/memories", "get")
    memories = response.get_json()["memories"]
    assert len(memories) == 2
    assert "meal" in memories[0]["text"]


def test_training_stats_count_what_is_remembered(client: FlaskClient) -> None:
    response = client.get(f"{PATH}/training/stats")
    conforms(client, response, "/training/stats", "get")
    stats = response.get_json()
    assert (stats["experiences"], stats["verified"], stats["versions"]) == (3, 3, [])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "task"),
        ({"task": 7}, "task"),
        ({"task": " \n"}, "task"),
        ({"task": "x" * 4001}, "task"),
        ({"task": "x", "colour": 1}, "colour"),
        ({"task": "x", "roles": "yes"}, "roles"),
        ({"task": "x", "context": {"needs": "food"}}, "context.needs"),
        ([], "body"),
    ],
)
def test_a_bad_body_is_refused_with_its_field(client: FlaskClient, body: object, told: str) -> None:
    assert told in refused(client.post(f"{PATH}/solve", json=body), 422, "invalid")["message"]


def test_a_refusal_does_not_repeat_what_was_sent(client: FlaskClient) -> None:
    response = client.post(f"{PATH}/solve", json={"task": "x", "roles": "call me at 555-0100"})
    assert "555-0100" not in response.text


@pytest.mark.parametrize(
    ("path", "options", "status", "error"),
    [
        ("/solve", {"data": "{", "content_type": "application/json"}, 400, "bad_request"),
        ("/solve", {"data": "[" * 60_000, "content_type": "application/json"}, 400, "bad_request"),
        ("/solve", {"data": b"\xff", "content_type": "application/json"}, 400, "bad_request"),
        ("/solve", {"data": "task=food"}, 415, "not_json"),
        ("/solve", {"json": {"task": "x" * 70_000}}, 413, "too_large"),
        ("/solve?fast=1", {"json": {"task": "x"}}, 422, "invalid"),
        ("/status", {"json": {}}, 405, "method_not_allowed"),
        ("/nothing", {"json": {}}, 404, "not_found"),
        ("/trigger_dream", {"json": {"need": "gold"}}, 422, "invalid"),
        ("/trigger_dream", {"json": {"count": 0}}, 422, "invalid"),
    ],
)
def test_what_cannot_be_served_is_refused_in_json(
    client: FlaskClient, path: str, options: dict[str, object], status: int, error: str
) -> None:
    refused(client.post(PATH + path, **options), status, error)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "query", ["", "query=", "query=a&limit=0", "query=a&limit=x", "query=a&query=b", "query=a&n=1"]
)
def test_a_bad_address_is_refused(client: FlaskClient, query: str) -> None:
    refused(client.get(f"{PATH}/memories?{query}"), 422, "invalid")


def test_other_addresses_of_the_host_keep_their_own_errors(client: FlaskClient) -> None:
    assert client.get("/nothing").mimetype == "text/html"


# Who may ask


@pytest.mark.parametrize(
    "request_",
    [
        {"environ_base": {"REMOTE_ADDR": "203.0.113.5"}},
        {"environ_base": {"REMOTE_ADDR": ""}},
        {"headers": {"X-Forwarded-For": "203.0.113.5"}},
        {"headers": {"Forwarded": "for=203.0.113.5"}},
        {"headers": {"Host": "lab.example.org"}},
        {"headers": {"Origin": "https://evil.example"}},
        {"headers": {"Origin": "null"}},
    ],
)
def test_whoever_is_not_a_program_here_needs_a_token(
    client: FlaskClient, request_: dict[str, dict[str, str]]
) -> None:
    response = client.get(f"{PATH}/status", **request_)  # type: ignore[arg-type]
    refused(response, 401, "unauthorized")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    allowed = {**request_, "headers": {**request_.get("headers", {}), **BEARER}}
    assert client.get(f"{PATH}/status", **allowed).status_code == 200  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
def test_a_wrong_token_does_not_pass(hosting: Hosting, value: str) -> None:
    client = hosting(api_auth="always").test_client()
    for path in ("/status", "/openapi.json", "/memories?query=a", "/training/stats"):
        refused(client.get(PATH + path, headers={"Authorization": value}), 401, "unauthorized")
    body = {"json": {"task": "food"}, "headers": {"Authorization": value}}
    refused(client.post(f"{PATH}/solve", **body), 401, "unauthorized")  # type: ignore[arg-type]
    refused(client.post(f"{PATH}/trigger_dream", **body), 401, "unauthorized")  # type: ignore[arg-type]


def test_any_of_several_tokens_passes(hosting: Hosting) -> None:
    client = hosting(f"{TOKEN}-other, {TOKEN}", api_auth="always").test_client()
    assert client.get(f"{PATH}/status", headers=BEARER).status_code == 200


def test_every_token_is_compared_whole_whatever_is_sent(
    hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that a comparison takes tells nothing: digests of one length, each of them."""
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def seen(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    client = hosting(f"{TOKEN}, {TOKEN}-other", api_auth="always").test_client()
    monkeypatch.setattr(hmac, "compare_digest", seen)
    for given in (TOKEN, "short", "x" * 10_000):
        compared.clear()
        client.get(f"{PATH}/status", headers={"Authorization": f"Bearer {given}"})
        assert [(len(a), len(b)) for a, b in compared] == [(32, 32)] * 2


def test_without_a_token_set_up_nobody_passes_from_afar(hosting: Hosting) -> None:
    client = hosting("").test_client()
    response = client.get(f"{PATH}/status", headers={"Host": "lab.example.org", **BEARER})
    assert "DREAMLAB_API_TOKENS" in refused(response, 401, "unauthorized")["hint"]


def test_a_short_token_is_refused_at_the_start(hosting: Hosting) -> None:
    with pytest.raises(SettingsError, match="16 characters") as caught:
        hosting("letmein")
    assert "letmein" not in str(caught.value)


# Limits


def test_too_many_requests_are_told_when_to_come_again(hosting: Hosting) -> None:
    client = hosting(api_rate_limit="3/minute").test_client()
    assert [client.get(f"{PATH}/status").status_code for _ in range(3)] == [200] * 3
    response = client.get(f"{PATH}/status")
    refused(response, 429, "too_many_requests")
    assert 0 < int(response.headers["Retry-After"]) <= 61
    other = {"REMOTE_ADDR": "127.0.0.2"}
    assert client.get(f"{PATH}/status", environ_base=other).status_code == 200


def test_wrong_tokens_are_counted_too(hosting: Hosting) -> None:
    client = hosting(api_auth="always", api_rate_limit="2/minute").test_client()
    for number in range(2):
        guess = {"Authorization": f"Bearer {number}"}
        refused(client.get(f"{PATH}/status", headers=guess), 401, "unauthorized")
    refused(client.get(f"{PATH}/status", headers=BEARER), 429, "too_many_requests")


def test_the_hosts_own_routes_are_not_limited(hosting: Hosting) -> None:
    app = hosting(api_rate_limit="1/minute")
    app.add_url_rule("/mine", view_func=lambda: "mine")
    client = app.test_client()
    assert [client.get("/mine").status_code for _ in range(3)] == [200] * 3
    assert not [name for name in app.config if name.startswith("RATELIMIT_")]


@pytest.mark.parametrize(
    "config", [{"api_rate_limit": "often"}, {"api_rate_storage": "redis+nonsense://:secret@x"}]
)
def test_a_bad_limit_is_named_at_the_start(hosting: Hosting, config: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(config))) as caught:
        hosting(**config)
    assert "secret" not in str(caught.value)


def test_an_answer_that_takes_too_long_is_given_up(hosting: Hosting) -> None:
    client = hosting(api_time_limit=0.02).test_client()  # loading the models takes longer
    response = client.post(f"{PATH}/solve", json={"task": "food"})
    refused(response, 503, "busy")
    assert int(response.headers["Retry-After"])
    streamed = client.post(f"{PATH}/solve", json={"task": "food", "stream": True}).text
    assert json.loads(streamed.split("event: problem\ndata: ")[1])["error"] == "busy"


def test_a_broken_lab_shows_nothing_of_the_inside(
    hosting: Hosting, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").write_text("a file where a folder should be")
    client = hosting(home=tmp_path / "home").test_client()
    response = client.get(f"{PATH}/memories?query=food")
    refused(response, 503, "unavailable")
    assert str(tmp_path) not in response.text
    assert str(tmp_path) in caplog.text
    streamed = client.post(f"{PATH}/solve", json={"task": "food", "stream": True}).text
    assert str(tmp_path) not in streamed
    assert '"unavailable"' in streamed


def test_an_unforeseen_error_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    problem = problem_of(RuntimeError("secret of /etc/passwd"))
    assert problem.status == 500
    assert "secret" not in str(problem.body)
    assert "secret" in caplog.text


def test_many_clients_at_once_get_the_answer_that_one_gets(app: Flask) -> None:
    questions = [QUESTION, "rent help for veterans", "who helps with a power bill in Taft", "food"]
    alone = {q: parts(app)[0].solve_task(q).text for q in questions}

    def ask(question: str) -> tuple[str, str]:
        answer = app.test_client().post(f"{PATH}/solve", json={"task": question})
        return question, answer.get_json()["text"]

    with ThreadPoolExecutor(12) as threads:
        for question, text in threads.map(ask, questions * 6):
            assert text == alone[question]


# Dreams


def test_a_closed_window_is_a_conflict_with_a_way_out(hosting: Hosting) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=3)).hour
    app = hosting(time_zone="UTC", downtime_start_hour=soon, downtime_end_hour=(soon + 1) % 24)
    problem = refused(app.test_client().post(f"{PATH}/trigger_dream"), 409, "window_closed")
    assert "force" in problem["hint"]
