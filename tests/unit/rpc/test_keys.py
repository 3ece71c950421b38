from __future__ import annotations

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from matching_server.domain.model import Role
from matching_server.rpc.keys import Key, KeyFile, KeyRing, new_key, parse_keys

SECRET = "s" * 32


def write(path: Path, content: object) -> Path:
    file = path / "keys.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_a_file_gives_keys_with_their_limits(tmp_path: Path) -> None:
    entry = {
        "id": "web-1",
        "secret": SECRET,
        "not_before": "2025-01-01T00:00:00Z",
        "not_after": "2025-01-02T01:00:00+01:00",
        "allow_unsigned_body": True,
        "max_roles": ["client", "advisor"],
    }
    ring = KeyFile(write(tmp_path, {"keys": [entry, {"id": "other", "secret": "ä" * 16}]})).ring
    start, end = 1_735_689_600, 1_735_776_000
    key = ring.find("web-1", start)
    assert key is not None
    assert key.allow_unsigned_body
    assert key.max_roles == frozenset({Role.CLIENT, Role.ADVISOR})
    assert ring.find("web-1", start - 1) is None
    assert ring.find("web-1", end - 1) is key
    assert ring.find("web-1", end) is None
    assert ring.find("nobody", start) is None
    other = ring.find("other", 0)
    assert other is not None
    assert other.max_roles is None
    assert not other.allow_unsigned_body


def test_a_key_survives_being_written() -> None:
    keys = (
        new_key(),
        new_key("mine", allow_unsigned_body=True),
        Key("x", SECRET, 1.0, 2.0, False, frozenset({Role.ADMIN})),
    )
    content = json.dumps({"keys": [key.as_json() for key in keys]})
    assert parse_keys(content.encode(), Path("keys.json")) == keys


def test_new_keys_differ() -> None:
    first, second = new_key(), new_key()
    assert first.id != second.id
    assert first.secret != second.secret
    assert len(first.secret.encode()) >= 32


def test_a_secret_is_never_shown() -> None:
    key = new_key()
    assert key.secret not in repr(key)
    assert key.secret not in repr(key.__reduce_ex__)
    with pytest.raises(ValueError, match="shorter than 32 bytes") as caught:
        Key("short", "hush")
    assert "hush" not in str(caught.value)


def test_keys_can_be_replaced_at_once() -> None:
    ring = KeyRing([Key("old", SECRET)])
    ring.replace([Key("new", SECRET)])
    assert ring.find("old", 0) is None
    assert ring.find("new", 0) is not None
    with pytest.raises(ValueError, match="no key"):
        ring.replace([])
    assert ring.find("new", 0) is not None


BAD_FILES = [
    ("{", "is not JSON"),
    ("[" * 100_000, "nested too deeply"),
    ("[]", "no list"),
    ({"keys": {}}, "no list"),
    ({"keys": []}, "no key"),
    ({"keys": ["x"]}, "key 1 is not an object"),
    ({"keys": [{"id": "a"}]}, "key 1 lacks"),
    ({"keys": [{"id": 1, "secret": SECRET}]}, "key 1 lacks"),
    ({"keys": [{"id": "a b", "secret": SECRET}]}, "key id 'a b'"),
    ({"keys": [{"id": "a" * 65, "secret": SECRET}]}, "key id"),
    ({"keys": [{"id": "a\n", "secret": SECRET}]}, "key id"),
    ({"keys": [{"id": "a", "secret": "s" * 31}]}, "shorter than 32 bytes"),
    ({"keys": [{"id": "a", "secret": "\ud800" * 40}]}, "not valid Unicode"),
    ({"keys": [{"id": "a", "secret": SECRET, "roles": []}]}, "unknown field 'roles'"),
    ({"keys": [{"id": "a", "secret": SECRET, "not_after": "tomorrow"}]}, "not_after of key a"),
    ({"keys": [{"id": "a", "secret": SECRET, "not_after": "2025-01-01T00:00:00"}]}, "not_after of key a"),
    ({"keys": [{"id": "a", "secret": SECRET, "not_before": 5}]}, "not_before of key a"),
    (
        {
            "keys": [
                {
                    "id": "a",
                    "secret": SECRET,
                    "not_before": "2025-01-02T00:00:00Z",
                    "not_after": "2025-01-01T00:00:00Z",
                }
            ]
        },
        "never valid",
    ),
    ({"keys": [{"id": "a", "secret": SECRET, "allow_unsigned_body": 1}]}, "allow_unsigned_body"),
    ({"keys": [{"id": "a", "secret": SECRET, "max_roles": "client"}]}, "max_roles"),
    ({"keys": [{"id": "a", "secret": SECRET, "max_roles": ["root"]}]}, "max_roles"),
    ({"keys": [{"id": "a", "secret": SECRET}, {"id": "a", "secret": SECRET}]}, "two keys"),
]


@pytest.mark.parametrize(("content", "message"), BAD_FILES)
def test_a_bad_file_stops_the_start_with_one_clear_line(
    tmp_path: Path, content: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        KeyFile(write(tmp_path, content))
    assert "\n" not in str(caught.value)
    assert "sssssss" not in str(caught.value)


def test_a_file_that_is_missing_or_binary_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.json cannot be read"):
        KeyFile(tmp_path / "nowhere.json")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ValueError, match=r"UTF-8|not JSON"):
        KeyFile(binary)


def test_a_file_is_taken_in_again_where_it_has_changed_and_each_fault_is_told_once(tmp_path: Path) -> None:
    content = [{"id": "old", "secret": SECRET}]
    file = write(tmp_path, {"keys": content})
    keys = KeyFile(file)
    with capture_logs() as logs:
        for broken in ("{", "{", "[]"):
            write(tmp_path, broken)
            keys.look()
        write(tmp_path, {"keys": content})
        keys.look()
        keys.look()
        write(tmp_path, {"keys": [{"id": "new", "secret": SECRET}]})
        keys.look()
        file.unlink()
        for _ in range(3):
            keys.look()
    faults = [str(line["fault"]) for line in logs if line["log_level"] == "warning"]
    assert faults == [
        f"key file {file} is not JSON: line 1",
        f'key file {file}: there is no list under "keys"',
        f"{file} cannot be read: No such file or directory",
    ]
    told = [line["changed"] for line in logs if line["event"] == "trusted_files_in_use"]
    assert told == [False, True]
    assert keys.ring.find("old", 0) is None
    assert keys.ring.find("new", 0) is not None
