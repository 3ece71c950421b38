"""Writes the smallest manifests that state given dependencies, in each format that is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

Names = Sequence[str]


def write(root: Path, path: str, running: Names, development: Names = ()) -> None:
    """Writes the manifest of that path, below the folder."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_FORMATS[target.name](running, development), encoding="utf-8")


def _versions(names: Names) -> dict[str, str]:
    return dict.fromkeys(names, "1.0.0")


def _package_json(running: Names, development: Names) -> str:
    return json.dumps({"dependencies": _versions(running), "devDependencies": _versions(development)})


def _composer_json(running: Names, development: Names) -> str:
    return json.dumps({"require": _versions(running), "require-dev": _versions(development)})


def _pyproject_toml(running: Names, development: Names) -> str:
    return (
        f'[project]\nname = "x"\ndependencies = {json.dumps([f"{name}>=1" for name in running])}\n'
        f"[dependency-groups]\ndev = {json.dumps(list(development))}\n"
    )


def _requirements_txt(running: Names, development: Names) -> str:
    assert not development
    return "".join(f"{name}==1.0\n" for name in running)


def _setup_cfg(running: Names, development: Names) -> str:
    assert not development
    return "[options]\ninstall_requires =\n" + "".join(f"    {name}>=1\n" for name in running)


def _pipfile(running: Names, development: Names) -> str:
    return "\n".join(
        [
            "[packages]",
            *(f'{name} = "*"' for name in running),
            "[dev-packages]",
            *(f'{name} = "*"' for name in development),
        ]
    )


def _go_mod(running: Names, development: Names) -> str:
    indirect = "".join(f"\t{name} v1.0.0 // indirect\n" for name in development)
    return "module x\n\nrequire (\n" + "".join(f"\t{name} v1.0.0\n" for name in running) + indirect + ")\n"


def _cargo_toml(running: Names, development: Names) -> str:
    return "\n".join(
        [
            "[dependencies]",
            *(f'{name} = "1"' for name in running),
            "[dev-dependencies]",
            *(f'{name} = "1"' for name in development),
        ]
    )


def _gemfile(running: Names, development: Names) -> str:
    return "\n".join(
        [
            *(f'gem "{name}", "~> 1.0"' for name in running),
            "group :development, :test do",
            *(f'  gem "{name}"' for name in development),
            "end",
        ]
    )


def _pom_xml(running: Names, development: Names) -> str:
    def dependency(name: str, scope: str) -> str:
        group, artifact = name.split(":")
        return (
            f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>{scope}</dependency>"
        )

    dependencies = [dependency(name, "") for name in running]
    dependencies += [dependency(name, "<scope>test</scope>") for name in development]
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><dependencies>'
        + "".join(dependencies)
        + "</dependencies></project>"
    )


def _build_gradle(running: Names, development: Names) -> str:
    plugins = [name for name in running if ":" not in name]
    dependencies = [f'    implementation("{name}:1.0")' for name in running if ":" in name]
    dependencies += [f'    testImplementation("{name}:1.0")' for name in development]
    return "\n".join(
        ["plugins {", *(f'    id("{name}")' for name in plugins), "}", "dependencies {", *dependencies, "}"]
    )


def _version_catalog(running: Names, development: Names) -> str:
    assert not development
    libraries = [f'lib{n} = {{ module = "{name}" }}' for n, name in enumerate(running) if ":" in name]
    plugins = [f'plugin{n} = {{ id = "{name}" }}' for n, name in enumerate(running) if ":" not in name]
    return "\n".join(["[libraries]", *libraries, "[plugins]", *plugins])


_FORMATS: dict[str, Callable[[Names, Names], str]] = {
    "package.json": _package_json,
    "pyproject.toml": _pyproject_toml,
    "requirements.txt": _requirements_txt,
    "setup.cfg": _setup_cfg,
    "Pipfile": _pipfile,
    "go.mod": _go_mod,
    "Cargo.toml": _cargo_toml,
    "composer.json": _composer_json,
    "Gemfile": _gemfile,
    "pom.xml": _pom_xml,
    "build.gradle": _build_gradle,
    "build.gradle.kts": _build_gradle,
    "libs.versions.toml": _version_catalog,
}
