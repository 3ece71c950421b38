"""The rows, in the order in which they are measured and shown. A new one is a file here and a line below."""

from __future__ import annotations

from benchmarks.harness.results import Row
from benchmarks.rows import (
    create_match,
    event_latency,
    event_throughput,
    get_availability,
    idle_streams,
    import_client,
    long_resume,
    match_life,
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
    *match_life.ROWS,
    *event_latency.ROWS,
    *event_throughput.ROWS,
    *idle_streams.ROWS,
    *long_resume.ROWS,
    *provisioning_jobs.ROWS,
    *take_job.ROWS,
    *import_client.ROWS,
)
