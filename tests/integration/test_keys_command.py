"""``matching-server keys new``: a key in a file that is nobody else's to read, or on the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

from matching_server.domain.model import Role
from matching_server.rpc.keys import Key, parse_keys
from tests.support.spawning import run_command


def keys_new(*options: str) -> CompletedProcess[str]:
    return run_command("keys", "new", *options)


def refusal(*options: str) -> str:
    """The one line with which it is refused."""
    refused = keys_new(*options)
    assert (refused.returncode, refused.stdout) == (2, "")
    [line] = refused.stderr.splitlines()
    return line.removeprefix("matching-server: ")


def keys_of(file: Path) -> tuple[Key, ...]:
    return parse_keys(file.read_bytes(), file)


def mode_of(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_without_a_file_the_whole_key_is_printed() -> None:
    made = keys_new("--id", "web", "--not-after", "2999-01-01T00:00:00Z", "--max-role", "client")
    document = json.dumps({"keys": [json.loads(made.stdout)]}).encode()
    [key] = parse_keys(document, Path("-"))
    assert (key.id, key.not_before, key.allow_unsigned_body) == ("web", None, False)
    assert key.not_after == 32_472_144_000
    assert key.max_roles == frozenset({Role.CLIENT})


def test_a_file_is_made_and_added_to_and_its_secrets_are_not_printed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    first = keys_new("--file", str(file))
    assert mode_of(file) == 0o600
    second = keys_new("--file", str(file), "--id", "two", "--allow-unsigned-body")
    keys = keys_of(file)
    assert [key.id for key in keys] == [first.stdout.strip(), "two"]
    assert [key.allow_unsigned_body for key in keys] == [False, True]
    assert not any(key.secret in made.stdout + made.stderr for key in keys for made in (first, second))
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_what_is_in_the_file_stays_as_it_is_written_and_for_whom(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "keys.json"
    entry = {
        "id": "old",
        "secret": "s" * 32,
        "not_before": "2025-01-01T01:00:00+01:00",
        "max_roles": ["client"],
    }
    real.write_text(json.dumps({"comment": "of the platform", "keys": [entry]}))
    real.chmod(0o644)
    link.symlink_to(real)
    keys_new("--file", str(link), "--id", "new")
    document = json.loads(real.read_bytes())
    assert document["comment"] == "of the platform"
    assert document["keys"][0] == entry
    assert document["keys"][1]["id"] == "new"
    assert link.is_symlink()
    assert mode_of(real) == 0o640


def test_what_could_not_be_used_is_refused_and_the_file_left_alone(tmp_path: Path) -> None:
    file, broken = tmp_path / "keys.json", tmp_path / "broken.json"
    keys_new("--file", str(file), "--id", "one")
    broken.write_text("{")
    before = file.read_bytes()
    assert refusal("--file", str(file), "--id", "one") == f"key file {file} has a key with the id one already"
    assert "is not JSON" in refusal("--file", str(broken))
    assert "No such file" in refusal("--file", str(tmp_path / "nowhere" / "keys.json"))
    assert "key id 'a b'" in refusal("--file", str(file), "--id", "a b")
    assert refusal("--not-after", "2020-01-01T00:00:00Z") == "--not-after is past"
    assert refusal("--not-before", "tomorrow").startswith("--not-before is not a time such as")
    assert "is never valid" in refusal(
        "--not-before", "2999-01-02T00:00Z", "--not-after", "2999-01-01T00:00Z"
    )
    assert "'root' is not one of" in refusal("--max-role", "root")
    assert file.read_bytes() == before
    assert broken.read_text() == "{"
