"""Who may use the web API: clients on this machine, and those with a token. Rate limits.

Loopback means a direct request of a program here: its address, the host it asked for and its page,
if it is a browser's, are all local. What a proxy on this machine passes on, or a web page makes a
browser send, is not.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from hashlib import sha256
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import parse_many

from dreamlab.api.problems import Problem
from dreamlab.errors import SettingsError
from dreamlab.settings import Settings

SHORTEST_TOKEN = 16
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")


class Doorkeeper:
    """Lets requests pass or raises `Problem` 401.

    Raises:
        SettingsError: a token is shorter than 16 characters.
    """

    def __init__(self, settings: Settings) -> None:
        tokens = [t.strip() for t in settings.api_tokens.get_secret_value().split(",") if t.strip()]
        if any(len(token) < SHORTEST_TOKEN for token in tokens):
            raise SettingsError(
                f"a token in DREAMLAB_API_TOKENS has fewer than {SHORTEST_TOKEN} characters; "
                'make one: python -c "import secrets; print(secrets.token_urlsafe(32))"'
            )
        self._digests: Sequence[bytes] = [sha256(token.encode()).digest() for token in tokens]
        self._always = settings.api_auth == "always"

    def check(self, request: Request) -> None:
        """Let the request pass.

        Raises:
            Problem: 401, it shows no good token and needs one.
        """
        if not self._always and is_local(request):
            return
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._known(given.strip()):
            return
        hint = "Send the header Authorization: Bearer TOKEN."
        if not self._digests:
            hint = "No token is set up here: its operator sets DREAMLAB_API_TOKENS."
        raise Problem(
            401,
            "unauthorized",
            "This address needs a token.",
            hint,
            {"WWW-Authenticate": 'Bearer realm="dream_lab"'},
        )

    def _known(self, given: str) -> bool:
        """Whether it is one of the tokens; takes the same time for any that is not."""
        digest = sha256(given.encode("utf-8", "replace")).digest()
        known = False
        for token in self._digests:
            known |= hmac.compare_digest(token, digest)
        return known


def is_local(request: Request) -> bool:
    """Whether a request comes directly from a program of this machine, not from a web page."""
    if any(name in request.headers for name in FORWARDED):
        return False
    if not (_loopback(request.remote_addr or "") and _loopback(_name(f"//{request.host}"))):
        return False
    origin = request.headers.get("Origin")
    return origin is None or _loopback(_name(origin))


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def limit_rate(app: Flask, blueprint: Blueprint, settings: Settings) -> None:
    """Limit the requests to the blueprint by address; the host's own limits are left alone.

    Raises:
        SettingsError: the limit or its storage cannot be read.
    """
    try:
        parse_many(settings.api_rate_limit)
    except ValueError:
        raise SettingsError(
            f"bad value for api_rate_limit ({settings.api_rate_limit!r}): write it like 120/minute"
        ) from None
    limiter = Limiter(
        get_remote_address,
        storage_uri=settings.api_rate_storage,
        headers_enabled=True,
        in_memory_fallback_enabled=True,
        key_prefix="dream_lab",
        strategy="moving-window",
    )
    limiter.limit(settings.api_rate_limit)(blueprint)
    # Its limits come from our settings: what the host configures for its own stays the host's.
    kept = {k: app.config.pop(k) for k in list(app.config) if k.startswith("RATELIMIT_")}
    try:
        limiter.init_app(app)
    except Exception as error:  # the storage libraries raise what they like
        raise SettingsError(
            f"bad value for api_rate_storage ({urlsplit(settings.api_rate_storage).scheme}://…): "
            f"{type(error).__name__}; write it like redis://host:6379"
        ) from None
    finally:
        for name in [k for k in app.config if k.startswith("RATELIMIT_")]:
            del app.config[name]
        app.config.update(kept)
