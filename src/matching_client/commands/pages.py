"""Lists: one page, or all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from matching_client.commands.call import Call
from matching_client.commands.output import Block

_Entry = TypeVar("_Entry")


class Page(Protocol):
    """What a method that pages returns, besides the entries."""

    @property
    def next_page_token(self) -> str:
        """Token of the next page. Empty: this is the last."""


_Page = TypeVar("_Page", bound=Page)


def show_pages(
    call: Call,
    get: Callable[[str], _Page],
    entries: Callable[[_Page], Iterable[_Entry]],
    view: Callable[[Sequence[_Entry]], list[Block]],
    *,
    page_token: str,
    all_pages: bool,
) -> None:
    """Prints a page, or every page from there on.

    As JSON: the response of one page as a document, or, of all pages, a line an entry. Otherwise a table, and
    the token of the next page beside it.
    """
    page = get(page_token)
    if not all_pages:
        answer: Any = page
        call.show(answer, lambda: view(list(entries(page))))
        if page.next_page_token and not call.output.json:
            call.note(f"there is more: --page-token {page.next_page_token}, or --all")
        return
    found: list[_Entry] = []
    while True:
        for entry in entries(page):
            if call.output.json:
                line: Any = entry
                call.output.line(line)
            else:
                found.append(entry)
        if not page.next_page_token:
            break
        page = get(page.next_page_token)
    if not call.output.json:
        call.output.blocks(view(found))
