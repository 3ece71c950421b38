"""Makes the synchronous client's modules of the asynchronous ones: `make_sync.py CLIENT OUT`.

CLIENT is `src/matching_client`, OUT where the modules are put. unasync takes `async` and `await` away and
renames the special methods; what the two sides call differently is renamed before; ruff puts the result into
form. Each line of TEXT is one difference between the two that no rule gives.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import unasync

MADE = ("client.py", "stubs.py", "watch.py", "methods")
HEADER = "# Made from aio/{name} by scripts/make_sync.py; never edited.\n"
TEXT = {
    "matching_client.aio.": "matching_client.",
    "grpc.aio": "grpc",
    "The asynchronous client": "The synchronous client",
    "for the tasks of one event loop": "safe to share among threads",
    "a function asked for each attempt, which may be async": "a function asked for each attempt",
    "Iterate in one task": "Iterate in one thread",
    "AsyncMatchingClient": "MatchingClient",
    "AsyncWatch": "Watch",
    "ServiceAsyncStub": "ServiceStub",
}


def main(client: Path, out: Path) -> None:
    """Makes every module of MADE."""
    with tempfile.TemporaryDirectory() as work:
        sources, made = Path(work, "aio"), Path(work, "made")
        names = [path.relative_to(client / "aio") for path in _modules(client / "aio")]
        for name in names:
            text = (client / "aio" / name).read_text(encoding="utf-8")
            for there, here in TEXT.items():
                text = text.replace(there, here)
            _put(sources / name, HEADER.format(name=name) + text)
        unasync.unasync_files(
            [str(sources / name) for name in names], [unasync.Rule(f"{sources}/", f"{made}/")]
        )
        _into_form(made)
        shutil.rmtree(out / "methods", ignore_errors=True)
        for name in names:
            _put(out / name, (made / name).read_text(encoding="utf-8"))


def _modules(folder: Path) -> list[Path]:
    return sorted(
        path
        for name in MADE
        for path in ([folder / name] if name.endswith(".py") else (folder / name).glob("*.py"))
    )


def _into_form(folder: Path) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or "ruff"
    settings = ["--config", str(Path(__file__).parent.parent / "pyproject.toml"), "--no-cache", "--quiet"]
    # The import order as it is where the modules belong: both packages are the project's own.
    known = ["--config", 'lint.isort.known-first-party=["matching_client", "advisor_matching"]']
    subprocess.run([ruff, "check", *settings, *known, "--select", "I", "--fix", folder], check=True)
    subprocess.run([ruff, "format", *settings, folder], check=True)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
