"""A process whose clock is wrong.

Only root can set a host's clock, and for all at once. So the server runs as it is, but for what Python's functions
tell of the time of day, which its module for the purpose shifts before anything else is imported. The monotonic
clock, by which intervals are measured, does not change when a host's clock does, and neither does it here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

_SHIFTED = """
import ctypes, datetime, gc, sys, time

offset = {offset!r}
true_time, true_now = time.time, datetime.datetime.now

def shifted_time():
    # gRPC compares with what its core, which is not Python, reads from the clock.
    caller = sys._getframe(1).f_globals.get("__name__", "")
    return true_time() + (0 if caller.startswith("grpc.") else offset)

time.time = shifted_time
time.time_ns = lambda: int(time.time() * 1e9)

def shift(name, function):
    # The type lets nobody set its attributes, but in its own dictionary.
    gc.get_referents(datetime.datetime.__dict__)[0][name] = classmethod(function)

shift("now", lambda cls, tz=None: true_now(tz) + datetime.timedelta(seconds=offset))
shift("utcnow", lambda cls: cls.now(datetime.timezone.utc).replace(tzinfo=None))
ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))
"""


def clock_off_by(directory: Path, seconds: float) -> dict[str, str]:
    """The environment of a process whose clock is so far ahead, or behind where negative."""
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(_SHIFTED.format(offset=seconds))
    return {"PYTHONPATH": str(directory)}


@contextmanager
def calling_with_clock_off_by(seconds: float) -> Iterator[None]:
    """Calls of this process are signed by such a clock."""
    clock = SimpleNamespace(time=lambda: time.time() + seconds)
    with patch("matching_client.signing.time", clock):
        yield
