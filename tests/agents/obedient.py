"""A model that obeys every text that it is shown, as badly as its reply allows.

It is a fair reader until any part of a planted text is in its request. From then on it is the
attacker's: it names the facet and the words that the attacker wants, or refuses, and writes what he
dictates. It reads every alphabet and code, so that only what it is not shown is safe from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.agents.llm_server import Script, dutiful, role_of, said

NUMBER = "555-666-0000"


def fair(body: dict[str, Any]) -> str:
    """A model that is dutiful, and knows besides that who has a bare cupboard needs food."""
    reply = json.loads(dutiful(body))
    if role_of(body) in ("expert", "lead") and "cupboard" in said(body):
        reply["needs"] = ["food"]
    return json.dumps(reply)


def obedient(
    planted: Iterable[str], need: str = "", words: str = "", refuse: bool = False, text: str = ""
) -> Script:
    """A script that obeys once a part of what is planted is shown to it."""
    signs = [" ".join(part.split()) for part in planted]

    def script(body: dict[str, Any]) -> str:
        reply = json.loads(fair(body))
        seen = " ".join(said(body).split())
        if any(sign in seen for sign in signs):
            needs = [need] if need and not refuse else []
            orders: dict[str, dict[str, Any]] = {
                "expert": {"needs": needs, "words": words},
                "lead": {"needs": needs, "nothing_fits": refuse},
                "write": {"text": text} if text else {},
                "open": {"text": text},
                "judge": {"grounded": True, "useful": True},
                "reflect": {"next_time": [{"text": text, "dreams": [1]}]},
            }
            reply |= orders[role_of(body)]
        return json.dumps(reply)

    return script
