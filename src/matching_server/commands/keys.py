"""``matching-server keys``: making the keys that callers sign with."""

from __future__ import annotations

import json
import time
from pathlib import Path

import typer

from matching_server.commands import CannotRun
from matching_server.commands.files import write_private
from matching_server.domain.model import Role
from matching_server.rpc.keys import Key, new_key, parse_keys, parse_moment


def new(
    file: Path | None,
    kid: str | None,
    *,
    not_before: str | None,
    not_after: str | None,
    max_roles: list[Role],
    allow_unsigned_body: bool,
) -> None:
    """Makes a key, and adds it to the file, which is made where there is none; prints its id.

    Without a file, prints the key's entry in one, secret included.

    Raises:
        CannotRun: the key could never be used, or the file has one of its id or cannot be read or written.
    """
    key = new_key(
        kid,
        not_before=_moment("--not-before", not_before),
        not_after=_moment("--not-after", not_after),
        max_roles=frozenset(max_roles) or None,
        allow_unsigned_body=allow_unsigned_body,
    )
    if key.not_after is not None and key.not_after <= time.time():
        raise CannotRun("--not-after is past")
    if file is None:
        typer.echo(json.dumps(key.as_json(), indent=2))
        return
    try:
        _add(file, key)
    except OSError as error:
        raise CannotRun(f"key file {file} cannot be used: {error.strerror}") from None
    typer.echo(key.id)


def _add(file: Path, key: Key) -> None:
    """What is in the file already stays as it is written."""
    if file.exists():
        content = file.read_bytes()
        if any(other.id == key.id for other in parse_keys(content, file)):
            raise CannotRun(f"key file {file} has a key with the id {key.id} already")
        document = json.loads(content)
    else:
        document = {"keys": []}
    document["keys"].append(key.as_json())
    write_private(file, document)


def _moment(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_moment(text)
    except ValueError as error:
        raise CannotRun(f"{option} {error}") from None
