"""A resident team: a process that holds the models and answers the questions of flow runs.

A flow run is a process of its own; loading models in each costs seconds. The resident listens on a
socket in a folder that only its user can enter, takes one line of JSON a question and gives one
line of JSON back. Where it is not there, `ask` says so and the caller answers with its own lab.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import socketserver
import tempfile
import threading
from pathlib import Path

from dreamlab import errors
from dreamlab.errors import DreamLabError
from dreamlab.records import Experience, from_json, to_json
from dreamlab.settings import Settings

SECONDS = 60.0
"""Longest wait for an answer."""


def socket_path(settings: Settings) -> Path:
    """The socket of this home: in a folder of this user's under the temporary one."""
    digest = hashlib.sha256(str(settings.home).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"dreamlab-{os.getuid()}" / f"{digest}.sock"


def ask(settings: Settings, question: str) -> Experience | None:
    """The resident team's answer; None where no resident answers.

    Raises:
        DreamLabError: the resident refuses the question, as the lab does.
    """
    path = socket_path(settings)
    if not _is_ours(path.parent):
        return None
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(SECONDS)
            line.connect(str(path))
            line.sendall(json.dumps({"question": question}).encode() + b"\n")
            with line.makefile("rb") as reply:
                text = reply.readline()
        told = json.loads(text)
    except (OSError, ValueError):
        return None
    if "error" in told:
        kind = getattr(errors, told["error"], DreamLabError)
        raise kind(told["message"])
    return from_json(Experience, json.dumps(told["experience"]))


class Resident(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers one question a connection; connections are served side by side."""

    daemon_threads = True

    def __init__(self, settings: Settings) -> None:
        from dreamlab.lab import open_lab

        self.lab = open_lab(settings)
        self.one_at_a_time = threading.Lock()
        path = socket_path(settings)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not _is_ours(path.parent):
            raise errors.StorageError(f"{path.parent} belongs to another user; remove it")
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Question)


class _Question(socketserver.StreamRequestHandler):
    server: Resident

    def handle(self) -> None:
        question = json.loads(self.rfile.readline(1_000_000))["question"]
        try:
            with self.server.one_at_a_time:
                experience = self.server.lab.solve(question)
            told = {"experience": json.loads(to_json(experience))}
        except DreamLabError as error:
            told = {"error": type(error).__name__, "message": str(error)}
        self.wfile.write(json.dumps(told).encode() + b"\n")


def _is_ours(folder: Path) -> bool:
    """Whether a folder is this user's alone: a socket elsewhere could be anybody's."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return found.st_uid == os.getuid() and not found.st_mode & 0o077 and folder.is_dir()


def main() -> None:
    """Serve until interrupted; the models are loaded before the first question."""
    from dreamlab.settings import load_settings

    with Resident(load_settings()) as resident:
        _ = resident.lab.everyday_team
        try:
            resident.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
