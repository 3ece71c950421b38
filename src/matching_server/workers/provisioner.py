"""The provisioning pool: a claim loop that takes no more jobs than its threads can begin at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import structlog

from matching_server.domain.provisioning import LeasedJob
from matching_server.operations import provisioning
from matching_server.operations.runner import Runner
from matching_server.workers.loop import Loop

_LOOK_SECONDS = 0.5
"""How long a job that another server queued, or that is due again, can stay unseen."""

_log = structlog.get_logger(__name__)


class Provisioner:
    """Takes jobs from the queue and runs them on ``workers`` threads."""

    def __init__(self, runner: Runner, workers: int) -> None:
        self._runner = runner
        self._workers = workers
        self._lock = threading.Lock()
        self._running = 0
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="provisioner")
        self._loop = Loop("provisioning-claims", self._take, _LOOK_SECONDS)

    def start(self) -> None:
        """Starts to take jobs."""
        self._loop.start()

    def wake(self) -> None:
        """A job was queued here: look at once."""
        self._loop.wake()

    def stop(self) -> None:
        """Takes no further job; those that have begun go on."""
        self._loop.stop()

    def join(self, timeout: float) -> None:
        """Waits for the jobs that have begun. One that does not end in time comes back by its lease."""
        deadline = time.monotonic() + timeout
        self._loop.join(timeout)
        self._pool.shutdown(wait=False)
        while self._running and time.monotonic() < deadline:
            time.sleep(0.01)

    @property
    def alive(self) -> bool:
        """Whether the claim loop runs."""
        return self._loop.alive

    def _take(self) -> bool:
        with self._lock:
            free = self._workers - self._running
        if free == 0:
            return False
        jobs = provisioning.take_jobs(self._runner, free)
        for job in jobs:
            with self._lock:
                self._running += 1
            self._pool.submit(self._run, job)
        return len(jobs) == free

    def _run(self, job: LeasedJob) -> None:
        began = time.monotonic()
        try:
            result = provisioning.attempt(self._runner, job)
            _log.info(
                "provisioning_attempt",
                match_id=str(job.match_id),
                project_id=str(job.project_id),
                attempt=job.attempt,
                result=result.value,
                duration_ms=round((time.monotonic() - began) * 1000, 1),
                correlation_id=job.correlation_id,
            )
        except Exception as error:
            # Not even the failure could be written: the end of the lease brings the job back.
            _log.warning("provisioning_lost", match_id=str(job.match_id), error=type(error).__name__)
        finally:
            with self._lock:
                self._running -= 1
            self._loop.wake()
