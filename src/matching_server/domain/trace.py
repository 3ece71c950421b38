"""Which trace belongs to what is under way: it goes into the database with whatever is left to do."""

from __future__ import annotations

from contextvars import ContextVar

TRACEPARENT: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""The W3C trace context of the call or the job of this thread, as header text; ``None`` where nothing is traced."""
