"""Prints docs/access.md: `python scripts/access_table.py > docs/access.md` brings the page up to date."""

from __future__ import annotations

from collections.abc import Iterator

from matching_server.domain.model import Role
from matching_server.rpc.access import ACCESS, SERVICES, Method, methods_of

HEAD = """\
# Who may what

Made from `src/matching_server/rpc/access.py` by `scripts/access_table.py`; not edited by hand. The server decides by
the same table who may call a method: a caller none of whose roles has an entry in the method's row gets
PERMISSION_DENIED, before their request is read. The entry says what the role reaches with it. What is beyond is
answered like what is not there: the same NOT_FOUND, in the same words.

A caller with several roles reaches what any of them does. The roles of a call are those of its claims, as far as the
key that signed it may give them (`max_roles`). Who acts is always who the claims name. What a role reaches is looked
up in the transaction of the call, and again while a stream is open. `tests/acceptance/test_ownership.py` goes through
every method, role and relation.

A signed call of a *read* may be made again for as long as its signature holds. *Mutations* and *streams* are good once.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(section(name) for name in SERVICES)


def section(service: str) -> str:
    """A service's methods, in the contract's order."""
    methods = methods_of(SERVICES[service])
    if all(method.roles is None for method in methods):
        names = ", ".join(f"`{method.name}`" for method in methods)
        return f"\n## {service}\n\nAnybody may call {names}, unsigned.\n"
    columns = ["method", "is a", *Role]
    lines = [columns, ["---"] * len(columns), *(cells(service, method) for method in methods)]
    return f"\n## {service}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cells(service: str, method: Method) -> list[str]:
    """The line of one method."""
    return [f"`{method.name}`", method.kind, *reaches(service, method)]


def reaches(service: str, method: Method) -> Iterator[str]:
    """What each role reaches with it."""
    access = ACCESS[service][method.name] or {}
    for role in Role:
        yield access.get(role, "no")


if __name__ == "__main__":
    print(page(), end="")
