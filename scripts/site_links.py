"""A hook of MkDocs: links that leave docs/ serve readers of the repository; on the site they are plain words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)\)")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """The page without links out of the documentation; PluginError where one leads nowhere."""
    docs = Path(config.docs_dir).resolve()
    here = (docs / page.file.src_path).parent

    def inside(link: re.Match[str]) -> str:
        target = (here / link[2]).resolve()
        if target.is_relative_to(docs):
            return link[0]
        if not target.exists():
            raise PluginError(f"{page.file.src_path}: {link[2]} leads nowhere")
        return link[1]

    return LINK.sub(inside, markdown)
