"""Files with secrets in them."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_private(path: Path, content: dict[str, object]) -> None:
    """Writes JSON, whole or not at all, and for nobody else to read at any moment.

    A file that is replaced keeps its owner, and the rights of its group: a server may run as somebody else.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            if path.exists():
                former = path.stat()
                os.fchown(descriptor, former.st_uid, former.st_gid)
                os.fchmod(descriptor, former.st_mode & 0o660)
            json.dump(content, file, indent=2)
            file.write("\n")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
