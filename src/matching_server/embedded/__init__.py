"""Postgres and Redis out of Python wheels: for the demo, for `serve --embedded` and for the tests.

Needs the extra `embedded`. Only the wheels' programs are used: their Python interfaces open every directory
on the way to the data for everybody, create system users, and share one server among processes.

    with EmbeddedServices(Path(".data")) as services:
        ...  # services.database_url, services.redis_url

What holds for both servers:

- They listen on 127.0.0.1 alone, on a port chosen at the first start, and ask for a random password.
- A data directory has one owner at a time (a lock file); a second start raises DataDirectoryInUse.
- They run in sessions of their own, so that Ctrl-C reaches this process alone and it can drain first. Where
  this process dies without stopping them, the kernel ends them (Linux); what is left, the next start ends.
- Root lends them the account that owns the files, at first `postgres` or `nobody`, since Postgres refuses to
  run as root.
"""

from matching_server.embedded.errors import DataDirectoryInUse, EmbeddedError
from matching_server.embedded.postgres import EmbeddedPostgres
from matching_server.embedded.programs import postgres_program, redis_program
from matching_server.embedded.redis_server import EmbeddedRedis
from matching_server.embedded.services import EmbeddedServices

__all__ = [
    "DataDirectoryInUse",
    "EmbeddedError",
    "EmbeddedPostgres",
    "EmbeddedRedis",
    "EmbeddedServices",
    "postgres_program",
    "redis_program",
]
