"""A scripted OpenAI-compatible server on a real socket: what it does to a request is a function.

A script is given the request's body and returns a reply to stream (text), a `Fault`, or a `Reply`.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """A reply with its own token counts, or none, or cut off after so many chunks."""

    text: str
    usage: tuple[int, int] | None = (100, 20)
    chunks_sent: int | None = None
    finish: str = "stop"
    pause: float = 0.0
    done: bool = True


@dataclass
class Fault:
    """An HTTP status with a body, after a pause."""

    status: int
    body: str = '{"error": {"message": "scripted"}}'
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0


class Drip:
    """Comments for ever: a stream that is alive and says nothing."""


class Hangup:
    """The connection is closed without an answer."""


Script = Callable[[dict[str, Any]], "str | Reply | Fault | Drip | Hangup"]


class Server:
    """The running server: its address, and the bodies of all requests."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args: object) -> None:
                pass

            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                body = json.loads(self.rfile.read(size))
                outer.requests.append(body)
                outer.keys.append(self.headers.get("authorization", ""))
                try:
                    outer.play(self, outer.script(body))
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def play(self, handler: BaseHTTPRequestHandler, answer: Any) -> None:
        if isinstance(answer, Hangup):
            handler.close_connection = True
            return
        if isinstance(answer, Fault):
            self.closing.wait(answer.pause)
            data = answer.body.encode()
            handler.send_response(answer.status)
            for name, value in {"content-type": "application/json", **answer.headers}.items():
                handler.send_header(name, value)
            handler.send_header("content-length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)
            return
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("connection", "close")
        handler.end_headers()
        handler.close_connection = True
        if isinstance(answer, Drip):
            while not self.closing.wait(0.05):
                handler.wfile.write(b": still here\n\n")
                handler.wfile.flush()
            return
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        for number, chunk in enumerate(chunks(reply)):
            if number == reply.chunks_sent:
                return
            self.closing.wait(reply.pause)
            handler.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            handler.wfile.flush()
        if reply.done:
            handler.wfile.write(b"data: [DONE]\n\n")


def chunks(reply: Reply) -> Iterator[dict[str, Any]]:
    base = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "scripted"}
    parts = re.findall(r".{1,12}", reply.text, re.DOTALL) or [""]
    for part in parts:
        yield {**base, "choices": [{"index": 0, "delta": {"content": part}}]}
    yield {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": reply.finish}]}
    if reply.usage:
        read, written = reply.usage
        usage = {"prompt_tokens": read, "completion_tokens": written}
        yield {**base, "choices": [], "usage": {**usage, "total_tokens": read + written}}


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    """A server that plays a script until the end of the block."""
    server = Server(script)
    thread = threading.Thread(target=server.http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def in_turn(*answers: Any) -> Script:
    """Plays the answers one after the other, the last one for ever."""
    lock, left = threading.Lock(), list(answers)

    def script(_body: dict[str, Any]) -> Any:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return script


# A model that does as it is told: it reads the prompt and replies what the role asks for.


def said(body: dict[str, Any]) -> str:
    """The whole prompt of a request."""
    return "\n".join(message["content"] for message in body["messages"])


def unmarked(body: dict[str, Any]) -> str:
    """The same without the marks, which are drawn anew for each request."""
    return re.sub(r"(?<= )[0-9a-f]{16}(?=>)", "", said(body))


def role_of(body: dict[str, Any]) -> str:
    """Which prompt a request was made of."""
    text = said(body)
    for name, sign in (
        ("lead", "`nothing_fits`: true only"),
        ("expert", "`words`: a few English words"),
        ("write", "about this service and no other"),
        ("judge", "`useful`: true only"),
        ("reflect", "`went_well`: what went well"),
        ("open", "Tonight's question:"),
    ):
        if sign in text:
            return name
    raise AssertionError("a prompt of no role")


def blocks(body: dict[str, Any], name: str) -> list[str]:
    """The texts that a request shows between marks of that name, in order."""
    found = re.findall(
        rf"^<{name} (\w+)>\n(.*?)\n</{name} \1>", said(body), re.DOTALL | re.MULTILINE
    )
    return [text for _, text in found]


def row_in(body: dict[str, Any]) -> dict[str, str]:
    """What a request shows of its (first) row, by column."""
    lines = [line for line in blocks(body, "row")[0].splitlines() if ": " in line]
    return dict(line.split(": ", 1) for line in lines)


def dutiful(body: dict[str, Any]) -> str:
    """A model that understands no more than was understood and says of a row that it is there."""
    role = role_of(body)
    if role == "expert":
        return json.dumps({"needs": [], "groups": [], "words": ""})
    if role == "lead":
        return json.dumps({"needs": [], "groups": [], "field": "", "nothing_fits": False})
    if role == "write":
        return json.dumps({"text": f"{row_in(body)['name']} is listed here."})
    if role == "judge":
        return json.dumps({"grounded": True, "useful": True, "reason": "It rests on the rows."})
    if role == "open":
        shown = [(re.match(r"\[(.+?)\]\nname: (.+)", row)) for row in blocks(body, "row")[:2]]
        about = [f"{m[2]} is listed here [{m[1]}]." for m in shown if m]
        return json.dumps({"text": " ".join([*about, "Idea: they could share one waiting list."])})
    lesson = {"text": "Questions about food went well.", "dreams": [1]}
    return json.dumps({"went_well": [lesson], "improve": [], "new": [lesson], "next_time": []})


def waited(until: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether something came true before the deadline."""
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
