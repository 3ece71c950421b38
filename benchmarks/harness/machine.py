"""On what, and with what, a row was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import psutil

from matching_server.embedded import postgres_program, redis_program

_ROOT = Path(__file__).parents[2]


def facts() -> dict[str, Any]:
    """Processor, memory, disk and versions."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "system": platform.platform(terse=True),
        "disk of the database": _file_system(Path(gettempdir())),
        "Python": platform.python_version(),
        "Postgres": _said([str(postgres_program("postgres")), "--version"]).split()[-1],
        "Redis": _said([str(redis_program("redis-server")), "--version"]).split()[2].removeprefix("v="),
        "grpcio": version("grpcio"),
        "revision": _revision(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _file_system(path: Path) -> str:
    """The kind of file system, by the longest mount point above the path."""
    mounts = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"


def _revision() -> str:
    commit = _said(["git", "-C", str(_ROOT), "rev-parse", "--short", "HEAD"])
    changed = _said(["git", "-C", str(_ROOT), "status", "--porcelain", "--untracked-files=no"])
    return (commit or "unknown") + (" with changes" if changed else "")


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""
