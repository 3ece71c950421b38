"""The formats as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from matching_client.stack.readers import READERS

CASES = [
    (
        "package.json",
        '\ufeff{"dependencies": {"a": "1"}, "peerDependencies": {"b": "1"}, "devDependencies": {"c": "1"}}',
        {"a", "b"},
        {"c"},
    ),
    (
        "composer.json",
        '{"require": {"php": "^8", "A/B": "1"}, "require-dev": {"c/d": "1"}}',
        {"php", "a/b"},
        {"c/d"},
    ),
    (
        "pyproject.toml",
        """
        [project]
        dependencies = ["Django[argon2]>=5 ; python_version > '3'", "psycopg_c @ https://x/y.whl"]
        [project.optional-dependencies]
        pdf = ["weasyprint"]
        dev-tools = ["ruff"]
        [dependency-groups]
        all = ["pytest", {include-group = "x"}]
        """,
        {"django", "psycopg-c", "weasyprint"},
        {"ruff", "pytest"},
    ),
    (
        "pyproject.toml",
        """
        [tool.poetry.dependencies]
        python = "^3.11"
        FastAPI = {version = "1", extras = ["x"]}
        [tool.poetry.dev-dependencies]
        black = "*"
        [tool.poetry.group.docs.dependencies]
        sphinx = "*"
        """,
        {"fastapi"},
        {"black", "sphinx"},
    ),
    (
        "requirements.txt",
        "# comment\nDjango==5 --hash=sha256:1\n-e ./x\n\n--index-url https://x\nzope.interface>1 # y\ngit+https://a/b\n",
        {"django", "zope-interface", "git"},
        set(),
    ),
    ("setup.cfg", "[options]\ninstall_requires =\n  Flask>=2\n  %(x)s\n[flake8]\nx = 1\n", {"flask"}, set()),
    (
        "Pipfile",
        '[packages]\nFlask = "*"\nx = {git = "y"}\n[dev-packages]\npytest = "*"\n',
        {"flask", "x"},
        {"pytest"},
    ),
    (
        "go.mod",
        """module a
        go 1.25
        require github.com/x/single v1.2.3
        require (
            github.com/labstack/echo/v4 v4.1.0
            // a comment
            github.com/y/indirect v1.0.0 // indirect
        )
        replace github.com/z/z v1.0.0 => ../z
        """,
        {"github.com/x/single", "github.com/labstack/echo"},
        set(),
    ),
    (
        "Cargo.toml",
        """
        [dependencies]
        web = { package = "actix-web", version = "4" }
        serde.workspace = true
        [workspace.dependencies]
        sqlx = "1"
        [target.'cfg(unix)'.dependencies]
        nix = "1"
        [dev-dependencies]
        criterion = "1"
        """,
        {"actix-web", "serde", "sqlx", "nix"},
        {"criterion"},
    ),
    (
        "Gemfile",
        """
        source "https://rubygems.org"
        # gem "no"
        gem 'rails', '~> 8'
        gem("pg")
        gem "debug", group: [:development, :test]
        group :test, :development do
          gem "rspec"
          if ENV["X"]
            gem "x"
          end
          platforms :ruby do
            gem "y"
          end
        end
        group :production do
          gem "puma"
        end
        """,
        {"rails", "pg", "puma"},
        {"debug", "rspec", "x", "y"},
    ),
    (
        "pom.xml",
        """<project xmlns="http://maven.apache.org/POM/4.0.0">
        <parent><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-parent</artifactId></parent>
        <dependencies>
          <dependency><groupId> a </groupId><artifactId>b</artifactId></dependency>
          <dependency><groupId>c</groupId><artifactId>d</artifactId><scope>test</scope></dependency>
        </dependencies>
        <build><plugins><plugin><groupId>e</groupId><artifactId>f</artifactId></plugin></plugins></build>
        </project>""",
        {"org.springframework.boot:spring-boot-starter-parent", "a:b"},
        {"c:d", "e:f"},
    ),
    ("pom.xml", "<project><dependencies><dependency/></dependencies></project>", {":"}, set()),
    (
        "build.gradle",
        """
        // implementation 'no:no:1'
        /* implementation 'no:no2:1' */
        plugins { id 'org.springframework.boot' version '4' }
        apply plugin: 'com.android.application'
        repositories { maven { url "https://a.b/c" } }
        dependencies {
            implementation 'a:b:1.0'
            api platform("c:d:1")
            runtimeOnly group: 'e', name: 'f', version: '1'
            testImplementation 'g:h:1'
        }
        """,
        {"org.springframework.boot", "com.android.application", "a:b", "c:d", "e:f"},
        {"g:h"},
    ),
    (
        "build.gradle.kts",
        """
        plugins {
            id("io.micronaut.application") version "4"
            kotlin("jvm") version "2"
        }
        dependencies {
            implementation("a:b:$version")
            androidTestImplementation("c:d")
        }
        """,
        {"io.micronaut.application", "org.jetbrains.kotlin.jvm", "a:b"},
        {"c:d"},
    ),
    (
        "libs.versions.toml",
        """
        [libraries]
        a = { module = "a:b", version.ref = "x" }
        c = { group = "c", name = "d" }
        e = "e:f:1.0"
        g-test = { module = "g:h" }
        [plugins]
        kotlin = { id = "org.jetbrains.kotlin.android", version = "2" }
        short = "i.j:1"
        """,
        {"a:b", "c:d", "e:f", "org.jetbrains.kotlin.android", "i.j"},
        {"g:h"},
    ),
]


@pytest.mark.parametrize(("name", "text", "running", "development"), CASES)
def test_dependencies_are_read(
    name: str, text: str, running: set[str], development: set[str], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    found = READERS[name][1](path, text.removeprefix("\ufeff"))
    assert (found.running, found.development) == (running, development)


def test_every_format_is_read() -> None:
    assert {case[0] for case in CASES} == set(READERS)


def test_included_requirements_are_read_where_they_belong_to_the_project(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "requirements").mkdir(parents=True)
    (tmp_path / "outside.txt").write_text("secret")
    (project / "requirements.txt").write_text("-r requirements/prod.txt\n-r ../outside.txt\n-r missing.txt\n")
    (project / "requirements" / "prod.txt").write_text("-r base.txt\ngunicorn\n")
    (project / "requirements" / "base.txt").write_text("--requirement=prod.txt\nflask\n")
    path = project / "requirements.txt"
    assert READERS["requirements.txt"][1](path, path.read_text()).running == {"gunicorn", "flask"}
