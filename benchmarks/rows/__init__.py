"""The rows, in the order in which they are measured and shown. A new one is a file here and a line below."""

from __future__ import annotations

from benchmarks.harness.results import Row
from benchmarks.rows import (
    create_match,
    get_availability,
    matching_quality,
    pool_size,
    provisioning_jobs,
    take_job,
)

ROWS: tuple[Row, ...] = (
    *create_match.ROWS,
    *pool_size.ROWS,
    *matching_quality.ROWS,
    *get_availability.ROWS,
    *provisioning_jobs.ROWS,
    *take_job.ROWS,
)
