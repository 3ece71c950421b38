"""The package as users get it: built, and installed where nothing else is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
UV = Path(sys.prefix) / "bin" / "uv"
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Wheel:
    """A built wheel."""

    path: Path

    def files(self) -> set[str]:
        """The names of what is in it."""
        with ZipFile(self.path) as archive:
            return set(archive.namelist())

    def content(self) -> dict[str, bytes]:
        """What is in it, by name."""
        with ZipFile(self.path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def read(self, name: str) -> str:
        """A file of its `.dist-info`."""
        (found,) = (path for path in self.files() if path.endswith(f".dist-info/{name}"))
        with ZipFile(self.path) as archive:
            return archive.read(found).decode()

    def metadata(self) -> Message:
        """Its METADATA."""
        return Parser().parsestr(self.read("METADATA"))

    def requirements(self, extra: str = "") -> list[Requirement]:
        """What it needs; with an extra, what that adds."""
        every = [Requirement(text) for text in self.metadata().get_all("Requires-Dist", [])]
        base = [found for found in every if found.marker is None or found.marker.evaluate({"extra": ""})]
        if not extra:
            return base
        return [
            found
            for found in every
            if found not in base and found.marker and found.marker.evaluate({"extra": extra})
        ]


def build(directory: Path, *kinds: str) -> None:
    """Builds an sdist, and a wheel from that, or what the arguments say."""
    uv("build", "-q", "--out-dir", str(directory), *kinds, cwd=ROOT)


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment that has what was asked for and nothing else."""

    python: Path

    def run(self, script: Path, *arguments: str, environment: Mapping[str, str]) -> str:
        """What a script prints that knows of nothing else, with warnings as errors."""
        done = subprocess.run(
            [str(self.python), "-I", "-W", "error", str(script), *arguments],
            env={"PATH": os.defpath, **environment},
            cwd=self.python.parent,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One of its commands, run to its end."""
        return subprocess.run(
            [str(self.python.parent / name), *arguments],
            env={"PATH": os.defpath},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    @contextmanager
    def running(self, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """One of its commands while the block runs; ended with it."""
        process = subprocess.Popen(
            [str(self.python.parent / name), *arguments],
            env={"PATH": os.defpath},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(_SECONDS)

    def installed(self) -> dict[str, str]:
        """The versions of its packages by their names."""
        listed = json.loads(uv("pip", "list", "--format", "json", "--python", str(self.python)))
        return {canonicalize_name(entry["name"]): entry["version"] for entry in listed}


def install(directory: Path, python: str, *what: str, constraints: Sequence[str] = ()) -> Environment:
    """A new environment with these packages."""
    uv("venv", "-q", "--python", python, "--no-python-downloads", str(directory))
    environment = Environment(directory / "bin" / "python")
    bounds = directory / "bounds.txt"
    bounds.write_text("\n".join(constraints))
    uv("pip", "install", "-q", "--python", str(environment.python), "-c", str(bounds), *what)
    return environment


def lowest(requirements: Sequence[Requirement]) -> list[str]:
    """Constraints to the oldest minor release that each requirement lets in."""
    bounds = {found.name: re.search(r">=([0-9.]+)", str(found.specifier)) for found in requirements}
    return [f"{name}=={bound[1]}.*" for name, bound in bounds.items() if bound]


def newest_python() -> str:
    """The newest Python of this machine that runs and is not the tests' own; that where there is none."""
    for minor in range(30, sys.version_info.minor, -1):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return found
    return sys.executable


def uv(*arguments: str, cwd: Path | None = None) -> str:
    """What uv prints. It takes packages from where pip does, if the environment says so."""
    index = {"UV_DEFAULT_INDEX": os.environ["PIP_INDEX_URL"]} if "PIP_INDEX_URL" in os.environ else {}
    done = subprocess.run(
        [str(UV), *arguments],
        cwd=cwd,
        # Trusted as pip trusts: uv brings authorities of its own.
        env={**index, **os.environ, "UV_NO_CONFIG": "1", "UV_SYSTEM_CERTS": "true"},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
