"""The formats of manifests: which packages a project depends on. Nothing is run, and nothing is looked up.

Every reader gets the path and the text, and raises ValueError where the text is malformed. Formats that are
programs (Gemfile, build.gradle) are read line by line for what is declared in the usual way.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAXIMUM_BYTES = 1024 * 1024
"""A manifest is no larger."""
_MOST_INCLUDED = 100
"""So many files make up one requirements.txt at most."""

_DEVELOPMENT = re.compile(r"dev|test|lint|doc|typing|types|bench|ci", re.IGNORECASE)
_PYTHON_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass
class Dependencies:
    """The names of packages: those that the project runs with, and those that it is developed with."""

    running: set[str] = field(default_factory=set)
    development: set[str] = field(default_factory=set)

    def add(self, names: Iterable[str], *, development: bool = False) -> None:
        """Takes names in."""
        (self.development if development else self.running).update(names)


def package_json(path: Path, text: str) -> Dependencies:
    """npm, yarn, pnpm and bun."""
    manifest = _object(json.loads(text), "the manifest")
    found = Dependencies()
    for key in ("dependencies", "peerDependencies", "optionalDependencies"):
        found.add(_object(manifest.get(key), key))
    found.add(_object(manifest.get("devDependencies"), "devDependencies"), development=True)
    return found


def composer_json(path: Path, text: str) -> Dependencies:
    """PHP's Composer."""
    manifest = _object(json.loads(text), "the manifest")
    found = Dependencies()
    found.add(map(str.lower, _object(manifest.get("require"), "require")))
    found.add(map(str.lower, _object(manifest.get("require-dev"), "require-dev")), development=True)
    return found


def pyproject_toml(path: Path, text: str) -> Dependencies:
    """Standard metadata, dependency groups, and Poetry's tables."""
    manifest = tomllib.loads(text)
    found = Dependencies()
    project = _object(manifest.get("project"), "project")
    found.add(_requirements(project.get("dependencies")))
    groups = _object(project.get("optional-dependencies"), "project.optional-dependencies")
    for name, requirements in groups.items():
        found.add(_requirements(requirements), development=bool(_DEVELOPMENT.search(name)))
    for requirements in _object(manifest.get("dependency-groups"), "dependency-groups").values():
        found.add(_requirements(requirements), development=True)
    poetry = _object(_object(manifest.get("tool"), "tool").get("poetry"), "tool.poetry")
    found.add(map(_python_name, _object(poetry.get("dependencies"), "tool.poetry.dependencies")))
    older = {"dev": {"dependencies": poetry.get("dev-dependencies")}}
    for name, group in (older | _object(poetry.get("group"), "tool.poetry.group")).items():
        names = _object(_object(group, name).get("dependencies"), f"tool.poetry.group.{name}")
        found.add(map(_python_name, names), development=True)
    found.running.discard("python")
    return found


def requirements_txt(path: Path, text: str) -> Dependencies:
    """pip's, with the files that it includes where they are below the same folder."""
    found = Dependencies()
    found.add(_listed(path, text, path.parent.resolve(), set()))
    return found


def setup_cfg(path: Path, text: str) -> Dependencies:
    """Setuptools' declarative metadata."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    found = Dependencies()
    found.add(_requirements(parser.get("options", "install_requires", fallback="").splitlines()))
    return found


def pipfile(path: Path, text: str) -> Dependencies:
    """Pipenv's."""
    manifest = tomllib.loads(text)
    found = Dependencies()
    found.add(map(_python_name, _object(manifest.get("packages"), "packages")))
    found.add(map(_python_name, _object(manifest.get("dev-packages"), "dev-packages")), development=True)
    return found


def go_mod(path: Path, text: str) -> Dependencies:
    """Modules that are required directly; major versions are left off."""
    found = Dependencies()
    block = False
    for line in text.splitlines():
        code, _, comment = line.partition("//")
        words = code.split()
        if words[:1] == ["require"]:
            words = words[1:]
            block = words[:1] == ["("]
        elif not block:
            continue
        if words[:1] == [")"]:
            block = False
        elif len(words) == 2 and "indirect" not in comment:
            found.add([re.sub(r"/v\d+$", "", words[0].strip('"'))])
    return found


def cargo_toml(path: Path, text: str) -> Dependencies:
    """A crate's, a workspace's, and those of single targets."""
    manifest = tomllib.loads(text)
    found = Dependencies()
    targets = _object(manifest.get("target"), "target").values()
    tables = [manifest, _object(manifest.get("workspace"), "workspace"), *targets]
    for table in tables:
        named = _object(table, "a target")
        found.add(_crates(named.get("dependencies")))
        for key in ("dev-dependencies", "build-dependencies"):
            found.add(_crates(named.get(key)), development=True)
    return found


def gemfile(path: Path, text: str) -> Dependencies:
    """Bundler's; gems of the groups development and test are for development."""
    found = Dependencies()
    group_depth, groups = 0, ""
    for line in text.splitlines():
        code = line.strip()
        if group_depth and re.match(r"end\b", code):
            group_depth -= 1
        elif code.startswith("group ") and re.search(r"\bdo\b", code):
            group_depth, groups = group_depth + 1, code
        elif group_depth and re.search(r"\bdo\b|^(if|unless)\b", code):
            group_depth += 1
        if match := re.match(r"gem[\s(]+[\"']([\w.-]+)[\"'](.*)", code):
            among = groups if group_depth else match[2]
            grouped = re.search(r"\bgroups?\b", among) and re.search(r"\b(test|development)\b", among)
            found.add([match[1]], development=bool(grouped))
    return found


def pom_xml(path: Path, text: str) -> Dependencies:
    """Maven's: dependencies as "group:artifact", the parent among them; plugins are for development."""
    from defusedxml import DefusedXmlException  # noqa: PLC0415 - needed for this format alone
    from defusedxml.ElementTree import ParseError, fromstring  # noqa: PLC0415

    try:
        project = fromstring(text)
    except (ParseError, DefusedXmlException) as error:
        raise ValueError(str(error)) from None
    found = Dependencies()
    found.add(_artifact(parent) for parent in project.iterfind("{*}parent"))
    for dependency in project.iterfind("{*}dependencies/{*}dependency"):
        found.add([_artifact(dependency)], development=dependency.findtext("{*}scope", "").strip() == "test")
    found.add(map(_artifact, project.iterfind("{*}build/{*}plugins/{*}plugin")), development=True)
    return found


def build_gradle(path: Path, text: str) -> Dependencies:
    """Gradle's, in Groovy or Kotlin: dependencies as "group:artifact", and the ids of plugins."""
    code = re.sub(r"/\*.*?(?:\*/|\Z)|(?<!:)//[^\n]*", "", text, flags=re.DOTALL)
    found = Dependencies()
    declared = re.findall(r"^[ \t]*+(\w++)[ \t(]++(?:\w++\()?[\"']([\w.-]++:[\w.-]++)", code, re.MULTILINE)
    for configuration, name in declared:
        found.add([name], development="test" in configuration.lower())
    grouped = re.findall(r"\b(\w++)[ \t(]++group:\s*+[\"']([\w.-]++)[\"'],\s*+name:\s*+[\"']([\w.-]++)", code)
    for configuration, group, name in grouped:
        found.add([f"{group}:{name}"], development="test" in configuration.lower())
    found.add(re.findall(r"\bid[ \t(]++[\"']([\w.-]+)[\"']", code))
    found.add(re.findall(r"\bapply[ \t(]++plugin[ \t]*+[:=][ \t]*+[\"']([\w.-]+)[\"']", code))
    found.add(f"org.jetbrains.kotlin.{name}" for name in re.findall(r"\bkotlin\(\"([\w.-]+)\"\)", code))
    return found


def version_catalog(path: Path, text: str) -> Dependencies:
    """Gradle's libs.versions.toml, which names what the build files refer to."""
    manifest = tomllib.loads(text)
    found = Dependencies()
    for alias, library in _object(manifest.get("libraries"), "libraries").items():
        found.add([_coordinates(library, alias)], development="test" in alias)
    for alias, plugin in _object(manifest.get("plugins"), "plugins").items():
        name = plugin if isinstance(plugin, str) else str(_object(plugin, alias).get("id"))
        found.add([name.partition(":")[0]])
    return found


READERS: dict[str, tuple[str, Callable[[Path, str], Dependencies]]] = {
    "pyproject.toml": ("pypi", pyproject_toml),
    "requirements.txt": ("pypi", requirements_txt),
    "setup.cfg": ("pypi", setup_cfg),
    "Pipfile": ("pypi", pipfile),
    "go.mod": ("go", go_mod),
    "Cargo.toml": ("cargo", cargo_toml),
    "composer.json": ("composer", composer_json),
    "Gemfile": ("gem", gemfile),
    "pom.xml": ("maven", pom_xml),
    "build.gradle": ("maven", build_gradle),
    "build.gradle.kts": ("maven", build_gradle),
    "libs.versions.toml": ("maven", version_catalog),
    "package.json": ("npm", package_json),
}
"""The ecosystem of a manifest, and what reads it, by the manifest's name."""


def _object(value: Any, name: str) -> dict[str, Any]:
    """A table of a manifest; empty where it is not there."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{name} has to be a table of names and values")
    return value


def _requirements(value: Any) -> Iterator[str]:
    """The names in a list of requirements; what includes others is left out."""
    if value is not None and not isinstance(value, list):
        raise ValueError("requirements have to be a list")
    for requirement in value or ():
        if isinstance(requirement, str) and (match := _PYTHON_NAME.match(requirement.strip())):
            yield _python_name(match[0])


def _python_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _listed(path: Path, text: str, root: Path, seen: set[Path]) -> Iterator[str]:
    seen.add(path.resolve())
    yield from _requirements([line for line in text.splitlines() if not line.lstrip().startswith(("-", "#"))])
    if len(seen) > _MOST_INCLUDED:
        raise ValueError(f"more than {_MOST_INCLUDED} files are included")
    names = re.findall(r"^[ \t]*+(?:-r|--requirement)[ \t=]++(\S++)", text, re.MULTILINE)
    for name in dict.fromkeys(names):
        included = (path.parent / name).resolve()
        if included.is_relative_to(root) and included.is_file() and included not in seen:
            yield from _listed(included, read_text(included), root, seen)


def _crates(value: Any) -> Iterator[str]:
    for name, wanted in _object(value, "dependencies").items():
        yield str(wanted["package"]) if isinstance(wanted, dict) and "package" in wanted else name


def _coordinates(library: Any, alias: str) -> str:
    """The "group:artifact" of an entry of a version catalog."""
    if isinstance(library, str):
        return ":".join(library.split(":")[:2])
    entry = _object(library, alias)
    return str(entry.get("module") or f"{entry.get('group')}:{entry.get('name')}")


def _artifact(element: Any) -> str:
    return ":".join(element.findtext(f"{{*}}{name}", "").strip() for name in ("groupId", "artifactId"))


def read_text(path: Path) -> str:
    """A manifest's text. ValueError where it is too large, or is none."""
    if path.stat().st_size > MAXIMUM_BYTES:
        raise ValueError(f"larger than {MAXIMUM_BYTES} bytes")
    return path.read_text(encoding="utf-8-sig")
