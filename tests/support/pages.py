"""The code blocks of documentation pages: found by sybil, and done as a reader would do them.

Blocks of one page share a namespace, a directory and the service. A `text` or `json` block that follows a block which
was run, with nothing between them, is what that one prints; `…` in it stands for anything.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from configparser import ConfigParser
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import yaml
from sybil import Document, Example, Region
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

SECONDS = 60.0
"""How long a command of a page may take."""
ANYTHING = "…"

_python = PythonEvaluator()
_blocks = FencedCodeBlockLexer(language=r"[^\n]*")


class Page:
    """A page whose blocks are done in their order.

    Args:
        file: the page.
        directory: where the reader's shell is.
        environment: what the reader's shell has set.
        elsewhere: first lines of blocks that are not done here.
        run: false to read the blocks only.
    """

    def __init__(
        self,
        file: Path,
        *,
        directory: Path,
        environment: Mapping[str, str],
        elsewhere: Iterable[str] = (),
        run: bool = True,
    ) -> None:
        self.document = Document.parse(str(file), self._parse)
        self._directory = directory
        self._environment = environment
        self._elsewhere = set(elsewhere)
        self._run = run
        self._printed: tuple[int, str] | None = None
        """Where the block ends that was run last, and what it printed."""

    @property
    def runs(self) -> bool:
        """Whether any of its blocks is run."""
        return self._run and any(
            example.region.lexemes["language"] in ("python", "sh")
            and first_line(example) not in self._elsewhere
            for example in self.document
        )

    @property
    def first_lines(self) -> set[str]:
        """The first line of each block."""
        return {first_line(example) for example in self.document}

    def do(self) -> None:
        """Does every block, and closes what the blocks have left open."""
        try:
            for example in self.document:
                example.evaluate()
        finally:
            for value in list(self.document.namespace.values()):
                if not isinstance(value, type) and hasattr(value, "close"):
                    value.close()

    def _parse(self, document: Document) -> Iterator[Region]:
        for region in _blocks(document):
            region.parsed = region.lexemes["source"]
            region.evaluator = self._evaluate
            yield region

    def _evaluate(self, example: Example) -> str | None:
        language = str(example.region.lexemes["language"])
        kind = KINDS.get(language)
        if kind is None:
            return f"the language {language!r} is none that tests know"
        if first_line(example) in self._elsewhere:
            return None
        return kind(self, example)

    def python(self, example: Example) -> str | None:
        """Runs it, in the namespace of the page."""
        if not self._run:
            compile(example.parsed, example.path, "exec")
            return None
        printed = io.StringIO()
        with redirect_stdout(printed):
            _python(example)
        self._printed = example.end, printed.getvalue()
        return None

    def shell(self, example: Example) -> str | None:
        """Runs it in a shell that stops at the first failure."""
        if not self._run:
            return None
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example.parsed],
            cwd=self._directory,
            env=dict(self._environment),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        self._printed = example.end, done.stdout
        return None if done.returncode == 0 else f"exit status {done.returncode}\n{done.stdout}{done.stderr}"

    def text(self, example: Example) -> str | None:
        """Compares it with what was printed, where it says that."""
        printed = self._printed_before(example)
        if printed is None:
            return None
        pattern = re.escape(example.parsed.strip()).replace(re.escape(ANYTHING), ".*?")
        return None if re.fullmatch(pattern, printed.strip(), re.DOTALL) else f"what was printed:\n{printed}"

    def json(self, example: Example) -> str | None:
        """Parses it, and compares it with what was printed, where it says that."""
        said, printed = json.loads(example.parsed), self._printed_before(example)
        if printed is None or agree(said, json.loads(printed)):
            return None
        return f"what was printed:\n{printed}"

    def yaml(self, example: Example) -> str | None:
        """Parses it."""
        return None if any(yaml.safe_load_all(example.parsed)) else "it is empty"

    def toml(self, example: Example) -> str | None:
        """Parses it."""
        return None if tomllib.loads(example.parsed) else "it is empty"

    def ini(self, example: Example) -> str | None:
        """Parses it."""
        parser = ConfigParser(interpolation=None)
        parser.read_string(example.parsed)
        return None if parser.sections() else "it has no sections"

    def elsewhere(self, example: Example) -> str | None:
        """Not done by this page alone."""
        return f"say where the block that begins with {first_line(example)!r} is tested"

    def _printed_before(self, example: Example) -> str | None:
        """What the block printed that is right above; None where there is none."""
        if self._printed is None:
            return None
        end, printed = self._printed
        return printed if not self.document.text[end : example.start].strip() else None


KINDS: Mapping[str, Callable[[Page, Example], str | None]] = {
    "": Page.text,
    "console": Page.elsewhere,
    "ini": Page.ini,
    "json": Page.json,
    "python": Page.python,
    "sh": Page.shell,
    "sql": Page.elsewhere,
    "text": Page.text,
    "toml": Page.toml,
    "yaml": Page.yaml,
}
"""What is done with a block of each language."""


def first_line(example: Example) -> str:
    """The first line of a block."""
    return str(example.parsed).strip().partition("\n")[0]


def agree(said: Any, printed: Any) -> bool:
    """Whether the JSON is as a page says it, in which "…" is anything, and keys may be left out behind a "…" key."""
    if said == ANYTHING:
        return True
    if isinstance(said, dict) and isinstance(printed, dict):
        named = {name: value for name, value in said.items() if name != ANYTHING}
        rest = printed.keys() - named.keys()
        return (ANYTHING in said or not rest) and all(
            name in printed and agree(value, printed[name]) for name, value in named.items()
        )
    if isinstance(said, list) and isinstance(printed, list):
        return len(said) == len(printed) and all(map(agree, said, printed))
    return bool(said == printed)


def shell_environment() -> dict[str, str]:
    """What the reader's shell has set: the commands of this environment, and nothing of the service."""
    foreign = ("MATCHING_", "PG")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    commands = str(Path(sys.executable).parent)
    return {**inherited, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
