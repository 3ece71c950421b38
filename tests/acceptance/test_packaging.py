"""What `make dist` builds: what is in it, what it says of itself, and that it runs where nothing else is."""

from __future__ import annotations

import json
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

import matching_client
from tests.support import first_match
from tests.support.packages import ROOT, Environment, Wheel, build, install, lowest, newest_python
from tests.support.rounds import FULL_SCALE, SCALE
from tests.support.wait import eventually
from tests.support.world import World

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ABOVE_THE_CLIENT = {"pydantic", "pydantic-core"}
"""What the server needs as well, and newer releases of Typer bring."""
LIFE = [
    "advisor.matched",
    "advisor.client_approved",
    "advisor.accepted",
    "advisor.finalized",
    "message.new",
    "advisor.workspace_ready",
]


@pytest.fixture(scope="module")
def server_arguments() -> list[tuple[str, ...]]:
    """One server is enough."""
    return [()]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, and the wheel that it makes."""
    directory = tmp_path_factory.mktemp("dist")
    build(directory)
    return directory


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Wheel:
    """The wheel."""
    (path,) = dist.glob("*.whl")
    return Wheel(path)


def sources() -> dict[str, bytes]:
    """What the packages are made of, as it lies in the repository."""
    found = {}
    for root, package in (
        ("src", "matching_client"),
        ("src", "matching_server"),
        ("generated", "advisor_matching"),
    ):
        for path in (ROOT / root / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found[path.relative_to(ROOT / root).as_posix()] = path.read_bytes()
    return found


def test_the_wheel_has_the_packages_whole_and_nothing_else(wheel: Wheel) -> None:
    content = {name: data for name, data in wheel.content().items() if ".dist-info/" not in name}
    expected = sources()
    assert set(content) == set(expected)
    assert [name for name in expected if content[name] != expected[name]] == []
    assert {"matching_client/py.typed", "matching_server/py.typed", "advisor_matching/py.typed"} <= set(
        content
    )
    messages = {name for name in content if name.endswith("_pb2.py")}
    assert messages
    assert {f"{name}i" for name in messages} <= set(content)
    migrations = [
        name for name in content if name.startswith("matching_server/storage/migrations/versions/0")
    ]
    assert len(migrations) == len(
        list((ROOT / "src/matching_server/storage/migrations/versions").glob("0*.py"))
    )
    assert "matching_server/storage/migrations/script.py.mako" in content


def test_the_sdist_makes_the_same_wheel_as_the_repository(dist: Path, wheel: Wheel, tmp_path: Path) -> None:
    build(tmp_path, "--wheel")
    (direct,) = tmp_path.glob("*.whl")
    assert Wheel(direct).content() == wheel.content()
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    protos = {path.relative_to(ROOT).as_posix() for path in (ROOT / "protos").rglob("*.proto")}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "constraints.txt"} | protos <= names
    assert not {name for name in names if name.startswith((".venv", ".matching", "dist"))}


def test_it_says_what_it_is(wheel: Wheel) -> None:
    said = wheel.metadata()
    assert (said["Name"], said["Version"]) == (PROJECT["name"], PROJECT["version"])
    assert said["Summary"] == PROJECT["description"]
    assert (said["License-Expression"], said["License-File"]) == ("MIT", "LICENSE")
    assert wheel.read("licenses/LICENSE") == (ROOT / "LICENSE").read_text()
    assert said["Description-Content-Type"] == "text/markdown"
    assert said.get_payload() == (ROOT / "README.md").read_text()
    assert said["Requires-Python"] == ">=3.11"
    assert {"server", "embedded"} <= set(said.get_all("Provides-Extra", []))
    assert "Typing :: Typed" in said.get_all("Classifier", [])
    assert wheel.read("entry_points.txt").split() == [
        "[console_scripts]",
        *("matching", "=", "matching_client.cli:main"),
        *("matching-server", "=", "matching_server.start:main"),
    ]
    assert wheel.read("WHEEL").count("Root-Is-Purelib: true") == 1


def assert_runs_alone(environment: Environment, wheel: Wheel, world: World) -> str:
    """A match's whole life against a real server, by the client alone. Returns the version of protobuf."""
    installed = set(environment.installed())
    foreign = {found.name for found in wheel.requirements("server")} - ABOVE_THE_CLIENT
    assert len(foreign) > 10
    assert not installed & foreign
    endpoint = world.servers.all[0].endpoint
    told = environment.run(
        Path(first_match.__file__ or ""),
        environment={
            "MATCHING_ADDRESS": endpoint.address,
            "MATCHING_KEY_ID": endpoint.key_id,
            "MATCHING_SECRET": endpoint.secret,
        },
    )
    said = json.loads(told)
    assert (said["events"], said["reason"]) == (LIFE, "PERMISSION_DENIED")
    assert said["version"] == PROJECT["version"]
    assert not {name.replace("-", "_") for name in foreign | ABOVE_THE_CLIENT} & set(said["modules"])
    assert "matching_server" not in said["modules"]
    return str(said["protobuf"])


def test_the_client_runs_alone_on_the_oldest_releases_that_it_lets_in(
    world: World, wheel: Wheel, tmp_path: Path
) -> None:
    bounds = lowest(wheel.requirements())
    assert "protobuf==6.33.*" in bounds
    environment = install(tmp_path / "venv", sys.executable, str(wheel.path), constraints=bounds)
    assert assert_runs_alone(environment, wheel, world).startswith("6.33.")


def test_the_client_runs_alone_on_the_newest_releases(world: World, wheel: Wheel, tmp_path: Path) -> None:
    environment = install(tmp_path / "venv", newest_python(), str(wheel.path))
    version = assert_runs_alone(environment, wheel, world)
    assert version.startswith("7.")
    protobuf = next(found for found in wheel.requirements() if found.name == "protobuf")
    assert protobuf.specifier == SpecifierSet(">=6.33,<8")

    help_ = environment.command("matching", "--help")
    assert (help_.returncode, help_.stderr) == (0, "")
    assert "sign" in help_.stdout
    missing = environment.command("matching-server", "serve")
    assert missing.returncode == 1
    assert missing.stderr.endswith("pip install 'advisor-matching[server]'\n")
    assert len(missing.stderr.splitlines()) == 1


@pytest.mark.robustness
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    SCALE < FULL_SCALE, reason="the tests' own environment shows it, but for what a wheel lacks"
)
def test_the_wheel_serves_from_nothing_and_says_which_extra_is_missing(wheel: Wheel, tmp_path: Path) -> None:
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    server = install(tmp_path / "server", sys.executable, f"{wheel.path}[server]", constraints=constraints)
    arguments = ("serve", "--embedded", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data"))
    refused = server.command("matching-server", *arguments)
    assert refused.returncode != 0
    assert refused.stderr.endswith("pip install 'advisor-matching[embedded]'\n")

    all_of_it = install(
        tmp_path / "embedded", sys.executable, f"{wheel.path}[embedded]", constraints=constraints
    )
    with all_of_it.running("matching-server", *arguments) as process:
        connection_file = tmp_path / "data" / "connection.json"
        eventually(lambda: connection_file.exists() or process.poll() is not None, timeout=60)
        said = all_of_it.run(
            Path(first_match.__file__ or ""), environment={"MATCHING_CONNECTION_FILE": str(connection_file)}
        )
        assert json.loads(said)["events"] == LIFE
        process.terminate()
        assert process.wait(60) == 0


def test_the_version_is_that_of_the_package() -> None:
    assert matching_client.__version__ == PROJECT["version"]
