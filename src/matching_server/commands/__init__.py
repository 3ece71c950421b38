"""What the commands of ``matching-server`` do, a module a subject; ``cli`` reads their arguments."""

from __future__ import annotations

from pydantic import SecretStr


class CannotRun(Exception):
    """What the user has to put right, in one line."""


def required(value: SecretStr | None, name: str) -> str:
    """A setting that the command cannot do without.

    Raises:
        CannotRun: it is not set.
    """
    if value is None:
        raise CannotRun(f"{name} is not set")
    return value.get_secret_value()
