"""The pages of the Python client: what it and its fake export, from signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import matching_client
from matching_client import MatchingClient, MatchingError, testing

WIDTH = 80
"""Characters of a signature that stays on one line."""

HEAD = """\
# Python client

Made from `src/matching_client/` by `scripts/reference.py`; not edited by hand. Everything here is imported from
`matching_client`; requests and answers are the [generated messages](types.md) of `advisor_matching.v1`. What a method
does, in full, stands with the [method of the contract](match.md) that it calls.

Each method takes, besides its own arguments, `timeout` (seconds for all attempts together; the client's where left out)
and `correlation_id` (names the call in the service's logs; made by the service where left out).
"""

TESTING = """\
# Python fake

Made from `src/matching_client/testing/` by `scripts/reference.py`; not edited by hand. What `matching_client.testing`
exports; how to use it: [Testing your code](../testing-your-code.md).
"""

ERRORS = """
## Errors

Every error is a `MatchingError`. [Errors](errors.md) says what each reason means.

"""


def page() -> str:
    """The whole page."""
    exported = [getattr(matching_client, name) for name in matching_client.__all__ if name[0] != "_"]
    classes = [value for value in exported if inspect.isclass(value)]
    clients = [kind for kind in classes if kind.__name__.endswith("Client")]
    errors = [kind for kind in classes if issubclass(kind, MatchingError)]
    others = [kind for kind in classes if kind not in (*clients, *errors)]
    functions = [value for value in exported if inspect.isfunction(value)]
    first, *alike = sorted(clients, key=lambda kind: (kind is not MatchingClient, kind.__name__))
    sections = [class_section(first), *(class_section(kind, like=first) for kind in alike)]
    sections += [class_section(kind) for kind in others]
    sections += [
        f"\n## {value.__name__}\n\n{signature(value.__name__, value)}\n{text(value)}\n" for value in functions
    ]
    told = text(MatchingError).partition("\n\n")[2]
    return f"{HEAD}{''.join(sections)}{ERRORS}{told}\n\n{''.join(branch(MatchingError, errors, 0))}"


def testing_page() -> str:
    """The whole page of the fake."""
    return TESTING + "".join(
        class_section(getattr(testing, name)) for name in sorted(testing.__all__, reverse=True)
    )


def method_link(service: str, method: str) -> str:
    """Where the page explains the client's method for a method of the contract."""
    special = {"WatchProjectEvents": "watch"}
    name = special.get(method) or re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower()
    if not hasattr(MatchingClient, name):
        raise ValueError(f"the client has no method for {service}/{method}")
    return f"Python: [`{name}`](python.md#{name})"


def class_section(kind: type, like: type | None = None) -> str:
    """A class: its docstring, how it is made, and its public members, those aside that another tells the same of."""
    parts = [f"\n## {kind.__name__}\n\n{text(kind)}\n"]
    init = inspect.getattr_static(kind, "__init__")
    if inspect.isfunction(init) and "Made by" not in text(kind):
        parts.append(f"\n{signature(kind.__name__, init, drop_self=True)}")
        parts.append(f"\n{text(init)}\n" if init.__doc__ else "")
    known = {} if like is None else {name: text(getattr(like, name)) for name, _ in members(like)}
    same = [name for name, _ in members(kind) if known.get(name) == text(getattr(kind, name))]
    if like is not None:
        parts.append(f"\nAs in {like.__name__}: {', '.join(f'[`{name}`](#{name})' for name in same)}.\n")
    parts += [f"\n### {name}\n\n{told}" for name, told in members(kind) if name not in same]
    return "".join(parts)


def members(kind: type) -> Iterator[tuple[str, str]]:
    """The public members that have something to say, in the order of their definition."""
    names = [name for base in kind.__mro__ if base is not object for name in vars(base)]
    for name in dict.fromkeys(names):
        member = inspect.getattr_static(kind, name)
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if name.startswith("_") or not is_ours(function):
            continue
        if isinstance(member, property):
            yield name, f"Property. {text(member)}\n"
        elif inspect.isfunction(function):
            called = signature(name, function, drop_self=not isinstance(member, staticmethod))
            yield name, f"{called}\n{text(function)}\n"


def is_ours(member: Any) -> bool:
    """Whether the package defines it, and not a library."""
    function = member.fget if isinstance(member, property) else member
    return (getattr(function, "__module__", "") or "").startswith("matching_client")


class Raw(str):
    """An annotation that is shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def signature(name: str, function: Any, *, drop_self: bool = False) -> str:
    """How it is called, one argument a line where it has several."""
    called = inspect.signature(function)
    known = list(called.parameters.values())[drop_self:]
    shown = [one.replace(annotation=Raw(one.annotation)) for one in known if one.kind is not one.VAR_KEYWORD]
    arguments = [str(one) for one in shown]
    keyword_only = [one.kind is one.KEYWORD_ONLY for one in shown]
    if True in keyword_only:
        arguments.insert(keyword_only.index(True), "*")
    arguments += [f"**{one.name}" for one in known if one.kind is one.VAR_KEYWORD]
    result = called.return_annotation
    arrow = "" if result in (called.empty, None, "None") else f" -> {result}"
    lead = "async " if inspect.iscoroutinefunction(function) else ""
    line = f"{lead}{name}({', '.join(arguments)}){arrow}"
    if len(line) > WIDTH:
        line = f"{lead}{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + f"){arrow}"
    return f"```text\n{line}\n```\n"


def text(value: Any) -> str:
    """Its docstring."""
    return inspect.cleandoc(value.__doc__ or "")


def branch(kind: type, errors: list[type], depth: int) -> Iterator[str]:
    """An exception and all that are one."""
    summary = " ".join(text(kind).partition("\n\n")[0].split())
    yield f"{'    ' * depth}- **`{kind.__name__}`**: {summary}\n"
    for other in errors:
        if kind in other.__bases__:
            yield from branch(other, errors, depth + 1)
