"""ChatService: a project's chat."""

from __future__ import annotations


class ChatService:
    """The handlers of ChatService: none of it is served yet."""
