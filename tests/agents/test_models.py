"""The door to language models, against real HTTP: every fault has its code, nothing is overpaid."""

from __future__ import annotations

import threading
import time

import pytest

from dreamlab.agents.ledger import Ledger, Limits, TaskMeter
from dreamlab.agents.models import Breakers, ChatModel, Endpoint, endpoint_of
from dreamlab.errors import LanguageModelError, SettingsError
from dreamlab.settings import Settings, load_settings
from tests.agents.llm_server import Drip, Fault, Hangup, Reply, in_turn, serving

MESSAGES = [{"role": "user", "content": "hello"}]
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
PLENTY = Limits(1_000_000, 1_000_000)


def model_at(url, *, timeout=5.0, retries=2, breakers=None, sleep=lambda _: None, max_tokens=50):
    return ChatModel(
        Endpoint("m", url, "secret-key", 1.0, 10.0),
        timeout=timeout,
        retries=retries,
        max_tokens=max_tokens,
        breakers=breakers or Breakers(),
        sleep=sleep,
    )


def meter_in(folder, limits=PLENTY, task="t"):
    return TaskMeter(Ledger(folder / "ledger.db"), "night", task, limits, "m", (1.0, 10.0))


def test_a_reply_is_streamed_and_paid_for_as_counted(tmp_path):
    meter = meter_in(tmp_path)
    with serving(in_turn(Reply('{"a": 1}', usage=(1000, 100)))) as server:
        reply = model_at(server.url).complete(MESSAGES, SCHEMA, meter)
    assert reply.text == '{"a": 1}'
    assert (meter.use.calls, meter.use.tokens_in, meter.use.tokens_out) == (1, 1000, 100)
    assert meter.use.dollars == pytest.approx(0.002)
    assert server.keys == ["Bearer secret-key"]


def test_an_endpoint_that_counts_no_tokens_is_charged_for_the_most_it_can_be(tmp_path):
    meter = meter_in(tmp_path)
    with serving(in_turn(Reply("hello", usage=None))) as server:
        model_at(server.url).complete(MESSAGES, SCHEMA, meter)
    assert meter.use.tokens_in == 256 + len("hello")
    assert meter.use.tokens_out == len("hello")


FAULTS = {
    "rate_limited": Fault(429),
    "server_error": Fault(500),
    "refused": Fault(401),
    "unreachable": Hangup(),
    "cut_off": Reply("half of a reply", chunks_sent=1),
    "empty": Reply(""),
    "timeout": Fault(200, pause=30),
    "too_long": Reply("x" * 2000),
}


@pytest.mark.parametrize("code", FAULTS)
def test_every_fault_has_its_code(code, tmp_path):
    with (
        serving(in_turn(FAULTS[code])) as server,
        pytest.raises(LanguageModelError) as caught,
    ):
        model_at(server.url, timeout=0.4, retries=0).complete(MESSAGES, SCHEMA, meter_in(tmp_path))
    assert caught.value.code == code
    assert "secret-key" not in str(caught.value)


def test_a_stream_that_drips_for_ever_is_closed_in_time(tmp_path):
    started = time.monotonic()
    with serving(in_turn(Drip())) as server, pytest.raises(LanguageModelError) as caught:
        model_at(server.url, timeout=0.5, retries=0).complete(MESSAGES, SCHEMA, meter_in(tmp_path))
    assert caught.value.code == "timeout"
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("code", ["rate_limited", "server_error", "unreachable", "cut_off"])
def test_what_may_pass_is_tried_again_with_growing_jittered_pauses(code, tmp_path):
    pauses: list[float] = []
    with serving(in_turn(FAULTS[code], FAULTS[code], "{}")) as server:
        model = model_at(server.url, sleep=pauses.append)
        assert model.complete(MESSAGES, SCHEMA, meter_in(tmp_path)).text == "{}"
    assert len(server.requests) == 3
    assert len(pauses) == 2
    assert all(0 <= pause <= 20 for pause in pauses)


def test_an_endpoint_says_how_long_to_wait_and_is_given_up_when_that_is_long(tmp_path):
    pauses: list[float] = []
    with serving(in_turn(Fault(429, headers={"retry-after": "7"}), "{}")) as server:
        model_at(server.url, sleep=pauses.append).complete(MESSAGES, SCHEMA, meter_in(tmp_path))
    assert pauses[0] >= 7
    with (
        serving(in_turn(Fault(429, headers={"retry-after": "3600"}))) as server,
        pytest.raises(LanguageModelError),
    ):
        model_at(server.url, sleep=pauses.append).complete(MESSAGES, SCHEMA, meter_in(tmp_path))
    assert len(server.requests) == 1


def test_a_wrong_key_is_not_tried_again_and_does_not_open_the_circuit(tmp_path):
    breakers = Breakers(failures=1)
    with serving(in_turn(Fault(401))) as server:
        model = model_at(server.url, breakers=breakers)
        for _ in range(3):
            with pytest.raises(LanguageModelError) as caught:
                model.complete(MESSAGES, SCHEMA, meter_in(tmp_path))
            assert caught.value.code == "refused"
    assert len(server.requests) == 3


def test_an_endpoint_that_knows_no_schema_is_asked_more_simply_from_then_on(tmp_path):
    def old_server(body):
        return Fault(400) if "response_format" in body else "{}"

    with serving(old_server) as server:
        model = model_at(server.url)
        model.complete(MESSAGES, SCHEMA, meter_in(tmp_path))
        assert len(server.requests) > 1
        before = len(server.requests)
        model.complete(MESSAGES, SCHEMA, meter_in(tmp_path))
    assert len(server.requests) == before + 1
    assert server.requests[-1].get("max_completion_tokens") == 50


def test_a_failing_endpoint_is_left_alone_then_tried_again(tmp_path):
    breakers = Breakers(failures=2, recovery=1)
    with serving(in_turn(Fault(500), Fault(500), "{}")) as server:
        model = model_at(server.url, retries=0, breakers=breakers)
        other = model_at(server.url, retries=0, breakers=breakers)
        for _ in range(2):
            with pytest.raises(LanguageModelError, match="fails"):
                model.complete(MESSAGES, SCHEMA, meter_in(tmp_path))
        with pytest.raises(LanguageModelError) as caught:
            other.complete(MESSAGES, SCHEMA, meter_in(tmp_path))
        assert caught.value.code == "circuit_open"
        assert len(server.requests) == 2
        breaker = breakers.of(server.url)
        deadline = time.monotonic() + 5
        while breaker.opened and time.monotonic() < deadline:
            time.sleep(0.02)
        assert other.complete(MESSAGES, SCHEMA, meter_in(tmp_path)).text == "{}"


def test_one_endpoints_failures_do_not_close_another(tmp_path):
    breakers = Breakers(failures=1, recovery=60)
    with serving(in_turn(Fault(500))) as bad, serving(in_turn("{}")) as good:
        with pytest.raises(LanguageModelError):
            model_at(bad.url, retries=0, breakers=breakers).complete(
                MESSAGES, SCHEMA, meter_in(tmp_path)
            )
        good_model = model_at(good.url, breakers=breakers)
        assert good_model.complete(MESSAGES, SCHEMA, meter_in(tmp_path)).text == "{}"


def test_what_no_budget_is_left_for_is_never_sent(tmp_path):
    with serving(in_turn("{}")) as server, pytest.raises(LanguageModelError) as caught:
        model_at(server.url).complete(MESSAGES, SCHEMA, meter_in(tmp_path, Limits(100, 1000)))
    assert caught.value.code == "budget_spent"
    assert server.requests == []


def test_threads_together_never_exceed_a_budget(tmp_path):
    limits = Limits(2_000, 100_000)
    refused = []
    with serving(in_turn(Reply("{}", usage=(200, 50)))) as server:
        model = model_at(server.url)

        def ask(number):
            try:
                model.complete(MESSAGES, SCHEMA, meter_in(tmp_path, limits, f"t{number}"))
            except LanguageModelError as error:
                refused.append(error.code)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    spent = Ledger(tmp_path / "ledger.db").spent("night")
    assert spent.tokens <= 2_000
    assert spent.tokens == 250 * len(server.requests)
    assert set(refused) == {"budget_spent"}
    assert len(refused) + len(server.requests) == 24


def test_a_budget_in_dollars_binds_as_well(tmp_path):
    limits = Limits(1_000_000, 1_000_000, dollars=0.0012)
    ledger = Ledger(tmp_path / "ledger.db")
    meter = TaskMeter(ledger, "night", "t", limits, "m", (1.0, 10.0))
    with serving(in_turn(Reply("{}", usage=(100, 50)))) as server:
        model = model_at(server.url)
        model.complete(MESSAGES, SCHEMA, meter)
        with pytest.raises(LanguageModelError, match="budget of this night"):
            model.complete(MESSAGES, SCHEMA, meter)
    assert ledger.spent("night").dollars == pytest.approx(0.0006)


def test_a_reservation_of_a_killed_process_stays_spent(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.reserve("night", "t", "m", (900, 50), 0.0, Limits(1000, 1000))
    after = Ledger(tmp_path / "ledger.db")
    assert after.spent("night").tokens == 950
    with pytest.raises(LanguageModelError):
        after.reserve("night", "t", "m", (90, 50), 0.0, Limits(1000, 1000))
    after.reserve("other", "t", "m", (90, 50), 0.0, Limits(1000, 1000))


def test_a_ledger_that_cannot_be_written_stops_the_request(tmp_path):
    (tmp_path / "file").write_text("")
    meter = TaskMeter(Ledger(tmp_path / "file" / "x.db"), "n", "t", PLENTY, "m", (0, 0))
    with serving(in_turn("{}")) as server, pytest.raises(LanguageModelError) as caught:
        model_at(server.url).complete(MESSAGES, SCHEMA, meter)
    assert caught.value.code == "no_ledger"
    assert server.requests == []


def test_a_reply_is_kept_once(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.keep("k", "m", "first")
    ledger.keep("k", "m", "second")
    assert ledger.recall("k") == "first"
    assert ledger.recall("other") is None


# Settings


def test_without_settings_there_is_no_endpoint():
    assert endpoint_of(Settings(), "lead") is None


def test_a_role_may_have_a_model_and_an_address_of_its_own():
    settings = Settings(
        llm_url="http://a/v1",
        llm_model="small",
        llm_api_key="for-a",
        llm_lead_url="http://b/v1",
        llm_lead_model="large",
        llm_prices="large=2/8",
    )
    assert endpoint_of(settings, "expert") == Endpoint("small", "http://a/v1", "for-a")
    assert endpoint_of(settings, "lead") == Endpoint("large", "http://b/v1", "", 2.0, 8.0)


def test_a_key_is_sent_to_its_own_address_only_and_never_shown():
    settings = Settings(llm_url="http://a/v1", llm_model="m", llm_api_key="sesame")
    lead = settings.model_copy(update={"llm_lead_url": "http://b/v1"})
    assert endpoint_of(lead, "lead").key == ""
    assert "sesame" not in f"{settings!r} {endpoint_of(settings, 'judge')!r}"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"llm_url": "http://a/v1"}, "DREAMLAB_LLM_MODEL"),
        ({"llm_lead_model": "m"}, "DREAMLAB_LLM_LEAD_URL"),
        (
            {"llm_url": "http://a/v1", "llm_model": "m", "llm_night_dollars": 1.0},
            "DREAMLAB_LLM_PRICES='m=",
        ),
    ],
)
def test_a_half_named_endpoint_says_what_is_missing(given, message):
    with pytest.raises(SettingsError, match=message):
        endpoint_of(Settings(**given), "lead")


@pytest.mark.parametrize("prices", ["m", "m=1", "m=1/x", "=1/2", "m=-1/2"])
def test_prices_that_cannot_be_read_are_named(prices):
    with pytest.raises(SettingsError, match="MODEL=0"):
        load_settings(llm_prices=prices)


def test_an_address_that_is_none_is_named():
    with pytest.raises(SettingsError, match="llm_url"):
        load_settings(llm_url="localhost:11434")
