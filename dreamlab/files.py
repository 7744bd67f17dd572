"""Writing files so that a reader, or a killed writer, never sees half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from dreamlab.errors import StorageError


def write_atomic(path: Path, text: str) -> None:
    """Write `text` to `path` through a synced temporary file beside it and a rename.

    Raises:
        StorageError: the folder cannot be made or written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
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
