"""Hooks of MkDocs: the decisions are in the nav by themselves, and links that leave docs/ are plain words.

Such links serve readers of the repository; the site has only what is in docs/.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)\)")


def on_config(config: Any) -> Any:
    """The configuration, with every decision record at the end of the last section of the nav."""
    records = sorted((Path(config.docs_dir) / "decisions").glob("*.md"))
    [section] = config.nav[-1].values()
    section.append({"Decisions": [f"decisions/{record.name}" for record in records]})
    return config


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
