"""Two Postgres servers, of which one follows the other and has every commit before it is acknowledged."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, make_url, text

from matching_server.embedded import EmbeddedPostgres, postgres_program
from matching_server.storage.migrate import migrate
from tests.support.databases import POSTGRES_SETTINGS, connected
from tests.support.wait import eventually

_NAME = "standby"


class Standby(EmbeddedPostgres):
    """Follows the primary from its first start on, until it is promoted."""

    def __init__(self, data_dir: Path, primary: EmbeddedPostgres) -> None:
        super().__init__(data_dir, settings=POSTGRES_SETTINGS)
        self._primary = primary

    @contextmanager
    def behind(self) -> Iterator[None]:
        """While the block runs it hears nothing, and who commits waits for it."""
        with connected(self.url) as conn:
            receiver = conn.execute(text("SELECT pid FROM pg_stat_wal_receiver")).scalar_one()
        os.kill(receiver, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(receiver, signal.SIGCONT)

    def promote(self) -> None:
        """Makes it the primary, and returns once it takes writes."""
        with connected(self.url) as conn:
            assert conn.execute(text("SELECT pg_promote()")).scalar_one()

    def _initialize(self) -> None:
        """A copy of the primary with its password, instead of a cluster of its own."""
        shutil.copy(self._primary.home / "password", self.home / "password")
        url = make_url(self._primary.url)
        conninfo = (
            f"host={url.host} port={url.port} user={url.username} password={url.password}"
            f" application_name={_NAME}"
        )
        self._run_to_end(
            [
                str(postgres_program("pg_basebackup")),
                *("-d", conninfo, "-D", str(self.working_directory)),
                *("--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"),
            ]
        )

    def _create_database(self) -> None:
        """Nothing: it has what the primary has."""


class Pair:
    """A primary, its synchronous standby, and the URL that names both."""

    def __init__(self, primary: EmbeddedPostgres, standby: Standby) -> None:
        self.primary, self.standby = primary, standby

    @property
    def url(self) -> str:
        """Whichever of the two takes writes."""
        first, second = make_url(self.primary.url), make_url(self.standby.url)
        hosts = tuple(f"{url.host}:{url.port}" for url in (first, second))
        query = {"host": hosts, "target_session_attrs": "read-write"}
        return URL.create(
            first.drivername, first.username, first.password, database=first.database, query=query
        ).render_as_string(hide_password=False)


@contextmanager
def replicated(directory: Path) -> Iterator[Pair]:
    """A migrated pair, the standby's copy up to date."""
    with EmbeddedPostgres(directory / "primary", settings=POSTGRES_SETTINGS) as primary:
        migrate(primary.url)
        with Standby(directory / "standby", primary) as standby, connected(primary.url) as conn:
            conn.execute(text(f"ALTER SYSTEM SET synchronous_standby_names = '{_NAME}'"))
            conn.execute(text("SELECT pg_reload_conf()"))
            in_step = text("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
            eventually(lambda: conn.execute(in_step).scalar_one() == 1, what="the standby keeps step")
            conn.close()
            yield Pair(primary, standby)
