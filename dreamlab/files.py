"""Writing files so that a reader, or a killed writer, never sees half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from dreamlab.errors import StorageError


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write text, as UTF-8, or bytes to `path` by a synced temporary file beside it and a rename.

    Raises:
        StorageError: the folder cannot be made or written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror}; "
            "free space, fix its rights or set DREAMLAB_HOME"
        ) from None
