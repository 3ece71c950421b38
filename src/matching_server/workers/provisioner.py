"""The provisioning pool: a claim loop that takes no more jobs than its threads can begin at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import structlog

from matching_server import metrics, tracing
from matching_server.domain.errors import DomainError
from matching_server.domain.provisioning import LeasedJob
from matching_server.operations import provisioning
from matching_server.operations.runner import Runner
from matching_server.workers.loop import Loop

_LOOK_SECONDS = 0.5
"""How long a job that another server queued, or that is due again, can stay unseen."""
_HEARTBEATS_A_LEASE = 3

_log = structlog.get_logger(__name__)


class Provisioner:
    """Takes jobs from the queue and runs them on ``workers`` threads.

    A job stays this worker's for as long as its attempt takes and the process lives: heartbeats extend its lease.
    """

    def __init__(self, runner: Runner, workers: int) -> None:
        self._runner = runner
        self._workers = workers
        self._changed = threading.Condition()
        self._running: dict[UUID, LeasedJob] = {}
        """By lease token; guarded by ``_changed``, which is notified when one ends."""
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="provisioner")
        self._claims = Loop("provisioning-claims", self._take, _LOOK_SECONDS)
        lease = runner.policy.provision_lease.total_seconds()
        self._heartbeats = Loop("provisioning-heartbeats", self._extend, lease / _HEARTBEATS_A_LEASE)

    def start(self) -> None:
        """Starts to take jobs."""
        self._claims.start()
        self._heartbeats.start()

    def wake(self) -> None:
        """A job was queued here: look at once."""
        self._claims.wake()

    def stop(self) -> None:
        """Takes no further job; those that have begun go on."""
        self._claims.stop()

    def join(self, timeout: float) -> None:
        """Waits for the jobs that have begun, and hands back those that do not end in time."""
        deadline = time.monotonic() + timeout
        self._claims.join(timeout)
        self._pool.shutdown(wait=False)
        with self._changed:
            self._changed.wait_for(lambda: not self._running, max(0.0, deadline - time.monotonic()))
            left = list(self._running.values())
        self._heartbeats.stop()
        if left:
            self._hand_back(left)
        self._heartbeats.join(max(0.0, deadline - time.monotonic()))

    @property
    def alive(self) -> bool:
        """Whether the loops run."""
        return self._claims.alive and self._heartbeats.alive

    def _take(self) -> bool:
        with self._changed:
            free = self._workers - len(self._running)
        if free == 0:
            return False
        jobs = provisioning.take_jobs(self._runner, free)
        with self._changed:
            self._running |= {job.lease_token: job for job in jobs}
        for job in jobs:
            self._pool.submit(self._run, job)
        return len(jobs) == free

    def _extend(self) -> bool:
        with self._changed:
            jobs = list(self._running.values())
        if jobs:
            provisioning.extend_leases(self._runner, jobs)
        return False

    def _hand_back(self, jobs: list[LeasedJob]) -> None:
        try:
            returned = provisioning.hand_back(self._runner, jobs)
        except DomainError as error:
            # The end of their leases brings them back.
            _log.warning("provisioning_not_handed_back", jobs=len(jobs), reason=error.reason.value)
        else:
            metrics.PROVISIONING_ATTEMPTS.labels("handed_back").inc(returned)
            _log.info("provisioning_handed_back", jobs=returned)

    def _run(self, job: LeasedJob) -> None:
        try:
            self._attempt(job)
        finally:
            with self._changed:
                del self._running[job.lease_token]
                self._changed.notify_all()
            self._claims.wake()

    def _attempt(self, job: LeasedJob) -> None:
        began = time.monotonic()
        told: tracing.Attributes = {"match_id": str(job.match_id), "attempt": job.attempt}
        with tracing.continued("provision workspace", "CONSUMER", job.traceparent, told) as span:
            try:
                result = provisioning.attempt(self._runner, job).value
                error = None
            except Exception as fault:
                # Not even the failure could be written: the end of the lease brings the job back.
                result, error = "lost", type(fault).__name__
            span.end({"result": result}, fault=None if result == "completed" else result)
        seconds = time.monotonic() - began
        metrics.PROVISIONING_ATTEMPTS.labels(result).inc()
        metrics.PROVISIONING_SECONDS.observe(seconds)
        _log.info(
            "provisioning_attempt",
            match_id=str(job.match_id),
            project_id=str(job.project_id),
            attempt=job.attempt,
            result=result,
            error=error,
            duration_ms=round(seconds * 1000, 1),
            correlation_id=job.correlation_id,
        )
