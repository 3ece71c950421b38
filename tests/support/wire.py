"""The wire between a process and Postgres, on which a transaction can be stopped, or fail, at any of its statements.

A proxy that reads as much of the protocol as that takes. What it stops has not reached Postgres, or has been done
there while the process has not heard of it: of COMMIT, too, which no lock or trigger could do.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import BinaryIO, Self
from uuid import UUID

from sqlalchemy import URL

from tests.support.faults import CAUSE
from tests.support.wait import eventually

_HOST = "127.0.0.1"
_HEAD_LOCK = "FROM project_event_heads WHERE project_id"
"""In the first statement of every transaction that belongs to a project."""
TAKE = "WITH due AS MATERIALIZED"
"""In the one statement that takes jobs."""
MAKE = "), job AS MATERIALIZED"
"""In the one statement that is all of a provisioning, as a rule."""
OFFER = "INSERT INTO advisor_match_requests"
"""In the one statement that is all of a CreateMatch, as a rule."""
APPROVE = "), decided AS ("
"""In the one statement that is all of an approval, as a rule."""
ADMIT = "WITH spent AS"
"""In the first statement of a mutation's transaction."""
_LOOK_SECONDS = 0.02


class Moment(Enum):
    """When something happens to a statement."""

    BEFORE = auto()
    """It is held, and has not reached Postgres."""
    AFTER = auto()
    """It is done, and its answer is held."""
    INSTEAD = auto()
    """Postgres is made to raise an error in its place."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place in a transaction: its statements are counted from 0, and COMMIT is the last."""

    step: int
    moment: Moment


Script = Sequence[Point]
"""What happens in one transaction."""


@dataclass(slots=True)
class Plan:
    """Transactions that begin alike, in their order: what is to happen in each, and what they did.

    ``scripts`` are used up; what comes after them passes. ``seen`` has the statements of each transaction.
    """

    beginning: str
    project: UUID | None
    scripts: deque[Script]
    seen: list[list[str]] = field(default_factory=list)
    held: list[threading.Event] = field(default_factory=list)

    def concerns(self, statement: str, sent: bytes) -> bool:
        """Whether a transaction that begins with this statement, sent in these bytes, is meant."""
        if self.beginning not in statement:
            return False
        return self.project is None or any(
            form in sent
            for form in (self.project.bytes, self.project.hex.encode(), str(self.project).encode())
        )


class Wire:
    """Listens while the block runs; whoever connects to ``url`` is passed on to Postgres."""

    def __init__(self, database: URL) -> None:
        self._target = (database.host or _HOST, database.port or 5432)
        self._listener = socket.create_server((_HOST, 0))
        self._lock = threading.Lock()
        self._plans: list[Plan] = []
        self._sessions: list[_Session] = []
        port = self._listener.getsockname()[1]
        through = database.set(host=_HOST, port=port).update_query_dict(
            {"sslmode": "disable", "gssencmode": "disable"}
        )
        self.url = through.render_as_string(hide_password=False)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="wire", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            # A mere close would leave the thread in its call.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for session in self._sessions:
            session.close()

    def plan(self, beginning: str, *scripts: Script, project: str | None = None) -> Plan:
        """What happens in the transactions that begin with such a statement, and from now on."""
        plan = Plan(beginning, UUID(project) if project else None, deque(scripts))
        with self._lock:
            self._plans.insert(0, plan)
        return plan

    def plan_project(self, project: str, *scripts: Script) -> Plan:
        """What happens in the transactions that belong to the project."""
        return self.plan(_HEAD_LOCK, *scripts, project=project)

    def wait_for_held(self, *plans: Plan, timeout: float = 20.0) -> None:
        """Waits until each of the plans holds a transaction."""
        eventually(
            lambda: all(plan.held for plan in plans),
            timeout=timeout,
            what=f"{len(plans)} transactions are held",
        )

    def release(self, plan: Plan) -> None:
        """Lets go on what the plan holds."""
        while plan.held:
            plan.held.pop().set()

    def release_all(self) -> None:
        """Lets go on whatever is held."""
        for plan in self._plans:
            self.release(plan)

    # ------------------------------------------------------------------------------------------- for its sessions

    def enter(self, statement: str, sent: bytes) -> Plan | None:
        """The plan for a transaction that begins."""
        with self._lock:
            return next((plan for plan in self._plans if plan.concerns(statement, sent)), None)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sessions.append(_Session(self, client, socket.create_connection(self._target)))


class _Session:
    """One connection."""

    def __init__(self, wire: Wire, client: socket.socket, server: socket.socket) -> None:
        self._wire = wire
        self._client, self._server = client, server
        self._prepared: dict[bytes, str] = {}
        self._begun = self._inside = False
        self._plan: Plan | None = None
        self._script: Script = ()
        self._noted: list[str] = []
        self._withhold = threading.Event()
        self._closed = threading.Event()
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for way in (self._up, self._down):
            threading.Thread(target=self._run, args=(way,), name="wire-session", daemon=True).start()

    @property
    def gone(self) -> bool:
        """Whether the process has left."""
        if self._closed.is_set():
            return True
        try:
            return not self._client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Ends both sides. Repeatable."""
        self._closed.set()
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _run(self, way: Callable[[], None]) -> None:
        try:
            # Whoever vanishes, the other side hears of it.
            with suppress(OSError, EOFError):
                way()
        finally:
            self.close()

    def _up(self) -> None:
        with self._client.makefile("rb") as reader:
            [size] = struct.unpack("!I", beginning := _exactly(reader, 4))
            self._server.sendall(beginning + _exactly(reader, size - 4))
            unit, statement, runs = b"", "", False
            for kind, message in _messages(reader):
                unit += message
                runs |= kind in b"QE"
                statement = self._statement(kind, message[5:]) or statement
                if kind in b"QS" and runs:
                    self._pass(unit, statement)
                elif kind in b"PBDEC":
                    continue
                else:
                    self._server.sendall(unit)
                unit, statement, runs = b"", "", False

    def _down(self) -> None:
        with self._server.makefile("rb") as reader:
            answer = b""
            for kind, message in _messages(reader):
                answer += message
                if self._withhold.is_set():
                    if kind != b"Z":
                        continue
                    self._withhold.clear()
                    self._hold()
                self._client.sendall(answer)
                answer = b""

    def _statement(self, kind: bytes, body: bytes) -> str:
        """The SQL that a message runs, or says that it will run."""
        if kind == b"Q":
            return body[:-1].decode()
        if kind == b"P":
            name, query, _ = body.split(b"\0", 2)
            self._prepared[name] = query.decode()
            return self._prepared[name]
        if kind == b"B":
            return self._prepared[body.split(b"\0", 2)[1]]
        return ""

    def _pass(self, unit: bytes, statement: str) -> None:
        """A statement on its way to Postgres."""
        moments = self._moments(unit, statement)
        if Moment.BEFORE in moments:
            self._hold()
            if self.gone:
                raise EOFError
        if Moment.AFTER in moments:
            self._withhold.set()
        self._server.sendall(_RAISE if Moment.INSTEAD in moments else unit)

    def _moments(self, unit: bytes, statement: str) -> set[Moment]:
        """What is to happen to it."""
        verb = statement.lstrip()[:8].upper()
        if verb.startswith("BEGIN"):
            self._begun = self._inside = True
            return set()
        # Outside, a statement is a transaction of its own.
        if self._begun or not self._inside:
            self._enter(statement, unit)
        self._begun = False
        if verb.startswith(("COMMIT", "ROLLBACK")):
            self._inside = False
        if self._plan is None:
            return set()
        moments = {point.moment for point in self._script if point.step == len(self._noted)}
        self._noted.append(statement)
        return moments

    def _enter(self, statement: str, sent: bytes) -> None:
        self._plan = self._wire.enter(statement, sent)
        if self._plan is not None:
            scripts = self._plan.scripts
            self._script, self._noted = scripts.popleft() if scripts else (), []
            self._plan.seen.append(self._noted)

    def _hold(self) -> None:
        """Returns when released, or when the process is gone."""
        assert self._plan is not None
        released = threading.Event()
        self._plan.held.append(released)
        while not released.wait(_LOOK_SECONDS) and not self.gone:
            pass


def _exactly(reader: BinaryIO, size: int) -> bytes:
    data = reader.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _messages(reader: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The messages of a connection as (kind, all of its bytes)."""
    while True:
        head = _exactly(reader, 5)
        [size] = struct.unpack("!I", head[1:])
        yield head[:1], head + _exactly(reader, size - 4)


def _query(statement: str) -> bytes:
    body = statement.encode() + b"\0"
    return b"Q" + struct.pack("!I", len(body) + 4) + body


_RAISE = _query(f"DO $$ BEGIN RAISE EXCEPTION '{CAUSE}'; END $$")
