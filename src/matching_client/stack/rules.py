"""The rules of `rules.toml`, as they are applied."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Rule:
    """A word, and the dependencies that stand for it: patterns by ecosystem."""

    word: str
    patterns: Mapping[str, Collection[str]]
    development: bool = False
    in_place_of: str = ""

    def holds(self, ecosystem: str, dependencies: Collection[str]) -> bool:
        """Whether one of the dependencies stands for the word."""
        return any(
            any(fnmatchcase(name, pattern) for name in dependencies)
            if "*" in pattern
            else pattern in dependencies
            for pattern in self.patterns.get(ecosystem, ())
        )


@dataclass(frozen=True)
class Rules:
    """All of them. `frameworks` are in the order in which they are asked for."""

    skipped_folders: Collection[str]
    tools: Rule
    ecosystems: Mapping[str, str]
    languages: tuple[Rule, ...]
    frameworks: tuple[Rule, ...]
    factors: tuple[Rule, ...]

    def foreign(self, folder: str) -> bool:
        """Whether a folder of that name holds nothing of the project itself."""
        return any(fnmatchcase(folder.lower(), pattern) for pattern in self.skipped_folders)


@cache
def rules() -> Rules:
    """The rules that come with the package."""
    table = tomllib.loads(resources.files(__package__).joinpath("rules.toml").read_text(encoding="utf-8"))
    ecosystems = table["ecosystems"]
    made = {
        kind: tuple(
            Rule(
                patterns={name: entry.pop(name) for name in ecosystems if name in entry},
                **entry,
            )
            for entry in table[kind]
        )
        for kind in ("languages", "frameworks", "factors")
    }
    return Rules(table["skipped"]["folders"], Rule("tools", table["tools"]), ecosystems, **made)
