"""What a command works with: a client that calls as the right person, and the place for the answer."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec
from uuid import UUID

import typer
from google.protobuf.message import Message

from matching_client.commands.failures import ExitCode, exit_code, told
from matching_client.commands.options import Common, with_common_options
from matching_client.commands.output import Block, Output, drop_output
from matching_client.errors import MatchingError
from matching_client.settings import ConnectionSettings, read_environment

if TYPE_CHECKING:
    from matching_client import MatchingClient

OPERATOR = UUID("00000000-0000-4000-8000-000000000001")
"""Who calls where nobody is named: whoever holds the key."""
OPERATOR_ROLES = ("admin", "service")
PERSON_ROLES = ("client", "advisor")
"""What a person who is named is, unless said otherwise."""

_P = ParamSpec("_P")
_Body = Callable[Concatenate["Call", _P], None]


class Call:
    """One run of a command."""

    def __init__(self, given: Common, stack: ExitStack) -> None:
        """`stack` ends what is opened here."""
        self.given = given
        self.output = Output(json=bool(given.json))
        self._stack = stack

    @property
    def named(self) -> bool:
        """Whether the user said who calls."""
        return self.given.user_id is not None

    @property
    def user_id(self) -> str:
        """Who calls: the person named, else the operator."""
        return str(self.given.user_id or OPERATOR)

    @property
    def roles(self) -> Sequence[str]:
        """As what they call."""
        if self.given.roles:
            return [role.strip() for role in self.given.roles.split(",") if role.strip()]
        return PERSON_ROLES if self.named else OPERATOR_ROLES

    @property
    def address(self) -> str:
        """Where the service is; empty where that is not known."""
        try:
            return read_environment().address
        except ValueError:
            return ""

    def settings(self) -> ConnectionSettings:
        """The key, for what calls nobody: an address is not needed. Raises SettingsError."""
        self._settle_connection()
        return read_environment({"MATCHING_ADDRESS": "none", **os.environ})

    @cached_property
    def client(self) -> MatchingClient:
        """Calls as the person named, else as the operator. Raises SettingsError."""
        from matching_client import MatchingClient  # noqa: PLC0415 - help and completion need none

        self._settle_connection()
        arguments: dict[str, Any] = {} if self.given.timeout is None else {"timeout": self.given.timeout}
        arguments |= {"user_id": self.user_id, "email": self.given.email or "", "roles": self.roles}
        return self._stack.enter_context(MatchingClient.from_env(**arguments))

    def as_person(self, user_id: str, role: str, told_as: str) -> MatchingClient:
        """Calls as somebody whom the operator has looked up, and says so: the key may sign for anybody."""
        self.note(f"acting as {told_as}, {user_id}")
        return self._stack.enter_context(self.client.as_user(user_id=user_id, roles=[role]))

    def person(self, doing: str) -> MatchingClient:
        """Calls as the person named; for what nobody does but a person. ValueError where none is named."""
        if not self.named:
            raise ValueError(f"say who {doing}: --user-id or MATCHING_USER_ID")
        return self.client

    def show(self, answer: Message | dict[str, Any], blocks: Callable[[], Iterable[Block]]) -> None:
        """Prints the answer: as JSON where that was asked for, else as the blocks show it."""
        if self.output.json:
            self.output.document(answer)
        else:
            self.output.blocks(blocks())

    def note(self, text: str) -> None:
        """A word to the user beside the answer, on stderr."""
        typer.echo(f"matching: {text}", err=True)

    def _settle_connection(self) -> None:
        """Options become settings of this process, so that what is said about those holds for them too."""
        if self.given.connection_file is not None:
            for name in ("ADDRESS", "KEY_ID", "SECRET"):
                os.environ.pop(f"MATCHING_{name}", None)
            os.environ["MATCHING_CONNECTION_FILE"] = str(self.given.connection_file)
        if self.given.address is not None:
            os.environ["MATCHING_ADDRESS"] = self.given.address


def command(group: typer.Typer, name: str, *, method: str = "") -> Callable[[_Body[_P]], _Body[_P]]:
    """Makes a command of a function: with the common options, a `Call` as its first argument, and exit codes.

    `method` is the method of the contract that it calls, "MatchService/GetMatch"; the tests count them.
    """

    def register(body: _Body[_P]) -> _Body[_P]:
        def run(context: typer.Context, given: Common, **arguments: Any) -> None:
            above = context.obj if isinstance(context.obj, Common) else Common()
            with ExitStack() as stack:
                _run(functools.partial(body, **arguments), Call(given.over(above), stack))

        own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]
        first = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
            for name, kind in (("context", typer.Context), ("given", Common))
        ]
        keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        # Typer and the tests read these off the function, whose type knows neither.
        run.__signature__ = inspect.Signature([*first, *keywords])  # type: ignore[attr-defined]
        run.__name__, run.__doc__ = body.__name__, body.__doc__
        made = with_common_options(from_environment=False)(run)
        made.method = method  # type: ignore[attr-defined]
        group.command(name)(made)
        return body

    return register


def _run(body: Callable[[Call], None], call: Call) -> None:
    try:
        body(call)
    except MatchingError as error:
        call.note(told(error, call.address))
        raise typer.Exit(exit_code(error)) from None
    except ValueError as error:
        call.note(" ".join(str(error).split()))
        raise typer.Exit(ExitCode.USAGE) from None
    except BrokenPipeError:
        # Whoever read has seen enough.
        drop_output()
