"""A busy machine is no defect: how long an example takes is not judged."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
