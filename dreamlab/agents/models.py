"""The door to language models: one request to an OpenAI-compatible endpoint, and its failures.

It streams, so that a silent or endless endpoint is noticed; tries again with back-off and jitter
what may pass; stops asking an endpoint that keeps failing; and asks a `Meter` before each attempt
whether it may be paid for. What a reply means, and what is done without one, is decided elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from dreamlab.errors import LanguageModelError, SettingsError
from dreamlab.settings import Settings

ROLES = ("lead", "expert", "judge")
"""The roles that may each have a model of their own."""

OVERHEAD = 256
"""Tokens, at most, that a chat template adds to a prompt."""

FAILURES, RECOVERY = 5, 30.0
"""Failures in a row after which an endpoint is left alone, and for how many seconds."""

LONGEST_WAIT = 20.0
"""Seconds, at most, between two attempts; an endpoint that asks for more is given up."""

CHARACTERS_A_TOKEN = 16
"""More characters than this for each token allowed, and the reply is broken off."""

Message = Mapping[str, str]


class Meter(Protocol):
    """Who is asked before tokens are spent and told afterwards; see `ledger.py`."""

    def reserve(self, tokens_in: int, tokens_out: int) -> int:
        """A ticket for at most so many tokens; raises LanguageModelError when none are left."""

    def settle(self, ticket: int, tokens_in: int, tokens_out: int) -> None:
        """Replaces the reservation by what was really spent."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model at an address. Prices are dollars for a million tokens read and written."""

    model: str
    url: str
    key: str = field(default="", repr=False)
    price_in: float = 0.0
    price_out: float = 0.0


TOLD = ("refused", "empty", "too_long")
"""Failures that tell of one request and not of the endpoint: a text that a model reads can bring it
to write nothing, or no end, and must not take the endpoint from others."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote, and the tokens it read and wrote."""

    text: str
    tokens_in: int
    tokens_out: int


class _Failed(LanguageModelError):
    """A failed attempt: whether another may pass, after how long, whether it may have cost
    something, and whether the form of the request was at fault."""

    def __init__(
        self, code: str, message: str, *, again: bool, cost: bool, after: float, form: bool
    ) -> None:
        super().__init__(code, message)
        self.again, self.cost, self.after, self.form = again, cost, after, form


def endpoint_of(settings: Settings, role: str) -> Endpoint | None:
    """The endpoint that the settings name for a role of `ROLES`; None if they name none.

    Raises:
        SettingsError: they name an address without a model, a model without an address, or a
            bound in dollars without the model's price.
    """
    own_url = getattr(settings, f"llm_{role}_url")
    url = own_url or settings.llm_url
    model = getattr(settings, f"llm_{role}_model") or settings.llm_model
    key = getattr(settings, f"llm_{role}_api_key") if own_url else settings.llm_api_key
    if not url and not model:
        return None
    if not url or not model:
        missing = "URL" if not url else "MODEL"
        raise SettingsError(
            f"the {role} has no endpoint: set DREAMLAB_LLM_{missing} "
            f"or DREAMLAB_LLM_{role.upper()}_{missing} as well"
        )
    if settings.llm_night_dollars and model not in settings.prices:
        raise SettingsError(
            f"DREAMLAB_LLM_NIGHT_DOLLARS needs the price of {model}: "
            f"set DREAMLAB_LLM_PRICES='{model}=0.15/0.60'"
        )
    return Endpoint(model, url, key.get_secret_value(), *settings.prices.get(model, (0.0, 0.0)))


class Breakers:
    """One circuit breaker for each address, shared by all models behind it."""

    def __init__(self, failures: int = FAILURES, recovery: float = RECOVERY) -> None:
        self._failures, self._recovery = failures, recovery
        self._made: dict[str, Any] = {}
        self._making = threading.Lock()

    def of(self, url: str) -> Any:
        """The breaker of an address."""
        from circuitbreaker import CircuitBreaker

        with self._making:
            if url not in self._made:
                self._made[url] = CircuitBreaker(
                    self._failures,
                    self._recovery,
                    lambda _kind, error: isinstance(error, _Failed) and error.code not in TOLD,
                    name=url,
                )
            return self._made[url]


class ChatModel:
    """A language model behind an endpoint. Safe to share between threads.

    Args:
        endpoint: where it is.
        timeout: seconds that one request may take in all.
        retries: how often a failed request is tried again.
        max_tokens: tokens that one reply may have.
        breakers: the circuit breakers of this process's endpoints.
        sleep: waits so many seconds between attempts.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout: float,
        retries: int,
        max_tokens: int,
        breakers: Breakers,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.endpoint = endpoint
        self.max_tokens = max_tokens
        self._timeout, self._retries, self._sleep = timeout, retries, sleep
        self._breaker = breakers.of(endpoint.url)
        self._form = 0
        self._client = self._connect()

    def _connect(self) -> Any:
        try:
            from openai import OpenAI
        except ImportError:
            raise SettingsError(
                "a language model is set but its client is not installed: "
                "pip install 'dreamlab[llm]'"
            ) from None
        return OpenAI(
            api_key=self.endpoint.key or "none",
            base_url=self.endpoint.url,
            timeout=self._timeout,
            max_retries=0,  # each attempt is paid for: it must pass the meter
        )

    def complete(
        self, messages: Sequence[Message], schema: Mapping[str, Any], meter: Meter
    ) -> Reply:
        """The model's reply, asked for in JSON of that schema, which it may not keep to.

        Raises:
            LanguageModelError: the endpoint failed for good, or the meter refused.
        """
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        attempts = Retrying(
            stop=stop_after_attempt(self._retries + 1),
            retry=retry_if_exception(lambda e: isinstance(e, _Failed) and e.again),
            wait=_pause,
            sleep=self._sleep,
            reraise=True,
        )
        reply: Reply = attempts(self._attempt, messages, schema, meter)
        return reply

    def _attempt(
        self, messages: Sequence[Message], schema: Mapping[str, Any], meter: Meter
    ) -> Reply:
        if self._breaker.opened:
            raise LanguageModelError(
                "circuit_open", f"{self.endpoint.url} keeps failing and is left alone for a while"
            )
        # No tokenizer makes more tokens of a text than it has bytes.
        most = OVERHEAD + sum(len(m["content"].encode()) for m in messages)
        ticket = meter.reserve(most, self.max_tokens)
        try:
            with self._breaker:
                reply = self._in_some_form(messages, schema, most)
        except _Failed as failure:
            spent = (most, self.max_tokens) if failure.cost else (0, 0)
            meter.settle(ticket, *spent)
            raise
        meter.settle(ticket, reply.tokens_in, reply.tokens_out)
        return reply

    def _in_some_form(
        self, messages: Sequence[Message], schema: Mapping[str, Any], most: int
    ) -> Reply:
        """The reply to the first form of the request that the endpoint does not refuse."""
        forms = _forms(schema, self.max_tokens)
        for number in range(self._form, len(forms)):
            try:
                reply = self._stream(messages, forms[number], most)
            except _Failed as failure:
                if not failure.form or number == len(forms) - 1:
                    raise
                continue
            self._form = number
            return reply
        raise AssertionError("the last form returns or raises")

    def _stream(self, messages: Sequence[Message], form: Mapping[str, Any], most: int) -> Reply:
        parts: list[str] = []
        finish, usage, size = "", None, 0
        with self._failures(), self._watched(messages, form) as stream:
            for chunk in stream:
                usage = getattr(chunk, "usage", None) or usage
                for choice in chunk.choices or ():
                    finish = choice.finish_reason or finish
                    parts.append((choice.delta and choice.delta.content) or "")
                    size += len(parts[-1])
                if size > CHARACTERS_A_TOKEN * self.max_tokens:
                    self._give_up("too_long", "wrote without end", cost=True)
        text = "".join(parts)
        if not finish and text:
            self._give_up("cut_off", "broke off in the middle of its reply", again=True, cost=True)
        if not text.strip():
            self._give_up("empty", "replied with nothing", again=True, cost=True)
        return Reply(text, *_tokens(usage, most, min(len(text.encode()), self.max_tokens)))

    @contextmanager
    def _watched(self, messages: Sequence[Message], form: Mapping[str, Any]) -> Iterator[Any]:
        """The stream of a reply, closed when the time is up however busily it drips."""
        late = threading.Event()
        stream = self._client.chat.completions.create(
            model=self.endpoint.model, messages=list(messages), stream=True, **form
        )

        def close() -> None:
            late.set()
            stream.close()

        timer = threading.Timer(self._timeout, close)
        timer.daemon = True
        timer.start()
        try:
            yield stream
        except _Failed:
            raise
        except Exception:
            if not late.is_set():
                raise
        finally:
            timer.cancel()
            stream.close()
        if late.is_set():
            self._give_up("timeout", f"took longer than {self._timeout:g} s", again=True, cost=True)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turns what the client raises into a reason code; here everything may go wrong."""
        import openai

        try:
            yield
        except LanguageModelError:
            raise
        except openai.APITimeoutError:
            self._give_up("timeout", f"took longer than {self._timeout:g} s", again=True, cost=True)
        except openai.APIConnectionError:
            self._give_up("unreachable", "cannot be reached", again=True)
        except openai.RateLimitError as error:
            after = _retry_after(error)
            self._give_up(
                "rate_limited", "asks for patience (429)", again=after <= LONGEST_WAIT, after=after
            )
        except openai.APIStatusError as error:
            code = error.status_code
            if code >= 500 or code in (408, 409):
                self._give_up("server_error", f"fails ({code})", again=True)
            self._give_up("refused", f"refuses the request ({code})", form=code in (400, 422))
        except openai.APIError:
            self._give_up("server_error", "reports an error in its stream", again=True, cost=True)
        except Exception as error:  # the HTTP library's own, which differ by version
            if "timeout" in type(error).__name__.lower():
                self._give_up("timeout", "fell silent", again=True, cost=True)
            self._give_up("cut_off", f"broke off ({type(error).__name__})", again=True, cost=True)

    def _give_up(
        self,
        code: str,
        what: str,
        *,
        again: bool = False,
        cost: bool = False,
        after: float = 0.0,
        form: bool = False,
    ) -> NoReturn:
        message = f"{self.endpoint.model} at {self.endpoint.url} {what}"
        raise _Failed(code, message, again=again, cost=cost, after=after, form=form) from None


def _forms(schema: Mapping[str, Any], max_tokens: int) -> tuple[dict[str, Any], ...]:
    """The request in the forms that endpoints know, the one that asks for most first."""
    strict = {"name": "reply", "schema": dict(schema), "strict": True}
    by_schema = {"response_format": {"type": "json_schema", "json_schema": strict}}
    as_object = {"response_format": {"type": "json_object"}}
    usage = {"stream_options": {"include_usage": True}}
    return (
        {**by_schema, **usage, "temperature": 0, "max_tokens": max_tokens},
        {**by_schema, **usage, "max_completion_tokens": max_tokens},
        {**as_object, **usage, "temperature": 0, "max_tokens": max_tokens},
        {**usage, "max_completion_tokens": max_tokens},
        {"temperature": 0, "max_tokens": max_tokens},
        {"max_tokens": max_tokens},
    )


def _tokens(usage: Any, most: int, written: int) -> tuple[int, int]:
    """The tokens that the endpoint counted; without a count, the most it can have been."""
    read = getattr(usage, "prompt_tokens", None)
    out = getattr(usage, "completion_tokens", None)
    if not isinstance(read, int) or not isinstance(out, int) or min(read, out) < 0:
        return most, written
    return read, out


def _retry_after(error: Any) -> float:
    try:
        return max(0.0, float(error.response.headers.get("retry-after", 0)))
    except ValueError:
        return 0.0  # a date: the back-off decides


def _pause(state: Any) -> float:
    from tenacity import wait_random_exponential

    jitter = float(wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT)(state))
    return float(max(jitter, state.outcome.exception().after))
