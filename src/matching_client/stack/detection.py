"""Looks for a project's manifests, and says what the rules make of them."""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from advisor_matching.v1.types_pb2 import TechStack
from matching_client.stack.readers import READERS, Dependencies, read_text
from matching_client.stack.rules import Rule, Rules, rules

_DEPTH = 2
"""How far below the project's folder its packages may lie."""
_MOST_FOLDERS = 1000
"""So many folders are looked into at most."""


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read; `depth` is 0 in the project's own folder, `folder` the one it speaks for."""

    depth: int
    folder: Path
    ecosystem: str
    dependencies: Dependencies

    def tells(self, rule: Rule) -> bool:
        """Whether the rule holds for it."""
        found = self.dependencies
        names = found.running | found.development if rule.development else found.running
        return rule.holds(self.ecosystem, names)

    @property
    def above(self) -> list[tuple[str, Path]]:
        """The places whose manifests speak for this one too: of its ecosystem, in its folder or above it."""
        return [(self.ecosystem, folder) for folder in (*reversed(self.folder.parents), self.folder)]


def detect_stack(path: str | os.PathLike[str]) -> TechStack:
    """The framework, languages and complexity factors of a project, from its manifests.

    `path` is one manifest, or a folder: then manifests count that lie in it and up to two folders below,
    where those do not hold what is built, tested or shown. Of several frameworks, the one of the manifest
    that is nearest wins. Manifests: package.json, pyproject.toml, requirements.txt, setup.cfg, Pipfile,
    go.mod, Cargo.toml, composer.json, Gemfile, pom.xml, build.gradle, build.gradle.kts and
    libs.versions.toml. Nothing is run, and nothing is looked up elsewhere. What the rules do not know is
    left out, so the stack may be empty.

    ValueError where there is no manifest, or where one or a folder cannot be read: it names it.
    """
    try:
        manifests = list(_manifests(Path(path)))
    except OSError as error:
        raise ValueError(f"{error.filename or path}: {error.strerror}") from None
    if not manifests:
        raise ValueError(f"{path}: no manifest here or just below; known are {', '.join(READERS)}")
    table = rules()
    framework = _framework(manifests, table)
    return TechStack(
        framework=framework.word if framework else "",
        languages=_languages(manifests, table),
        complexity_factors=[
            rule.word for rule in table.factors if any(manifest.tells(rule) for manifest in manifests)
        ],
    )


def _framework(manifests: list[Manifest], table: Rules) -> Rule | None:
    """Of the nearest folder that has one, the first of the table."""
    for depth in sorted({manifest.depth for manifest in manifests}):
        near = [manifest for manifest in manifests if manifest.depth == depth]
        for rule in table.frameworks:
            if any(manifest.tells(rule) for manifest in near):
                return rule
    return None


def _languages(manifests: list[Manifest], table: Rules) -> list[str]:
    """Those of the nearest manifests first, each once. What brings nothing but tools counts where all do."""
    told = [[rule for rule in table.languages if manifest.tells(rule)] for manifest in manifests]
    languages: dict[str, None] = {}
    tools: dict[str, None] = {}
    replacing: dict[tuple[str, Path], list[str]] = {}
    for manifest, own in zip(manifests, told, strict=True):
        replacing.setdefault((manifest.ecosystem, manifest.folder), []).extend(
            rule.word for rule in own if rule.in_place_of
        )
    for manifest, own in zip(manifests, told, strict=True):
        above = [word for place in manifest.above for word in replacing.get(place, ())]
        instead = [rule.word for rule in own if rule.in_place_of] + above
        of_tools = manifest.tells(table.tools) or not manifest.dependencies.running
        only_tools = of_tools and not (instead or _framework([manifest], table))
        words = [instead[0] if instead else table.ecosystems[manifest.ecosystem]]
        words += [rule.word for rule in own if not rule.in_place_of]
        (tools if only_tools else languages).update(dict.fromkeys(words))
    return list(languages or tools)


def _manifests(path: Path) -> Iterator[Manifest]:
    if path.is_file():
        if path.name not in READERS:
            raise ValueError(f"{path}: no manifest that is known; those are {', '.join(READERS)}")
        yield _read(path, 0)
    elif not path.is_dir():
        raise ValueError(f"{path}: no such file or folder")
    else:
        for depth, folder in _folders(path):
            for name in READERS:
                if (folder / name).is_file():
                    yield _read(folder / name, depth)


def _folders(root: Path) -> Iterator[tuple[int, Path]]:
    """The folder and those below it, nearest first, in the order of their names."""
    level = [root]
    seen = 0
    for depth in range(_DEPTH + 1):
        level = level[: _MOST_FOLDERS - seen]
        seen += len(level)
        yield from ((depth, folder) for folder in level)
        if depth < _DEPTH:
            level = [below for folder in level for below in _below(folder)]


def _below(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [folder / name for name in sorted(names) if not rules().foreign(name)]


def _read(path: Path, depth: int) -> Manifest:
    ecosystem, reader = READERS[path.name]
    try:
        # A version catalog lies in a folder of its own, and is about the one above.
        folder = path.parent.parent if path.name == "libs.versions.toml" else path.parent
        return Manifest(depth, folder, ecosystem, reader(path, read_text(path)))
    except (ValueError, configparser.Error, OSError, RecursionError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split()) or type(error).__name__}") from None
