"""Many matches while every process is killed and frozen at random: in the end, each has its workspace, once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.load import Load
from tests.support.processes import ServerProcess
from tests.support.rounds import new_seed, rounds
from tests.support.wait import eventually
from tests.support.world import World

Tell = Callable[[str], None]
LEASE_SECONDS = 6.0
"""Longer than the locks of a frozen worker last: 5 s."""
SETTINGS: dict[str, Any] = {
    "provision_lease_seconds": LEASE_SECONDS,
    "sweep_seconds": 0.2,
    "provision_backoff_seconds": 0.05,
}
SERVERS, WORKERS = 2, 1
"""Servers that work, too, and processes that do nothing else."""
FAULTS = ("killed", "frozen beyond its leases", "frozen for a moment", "killed")
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(random() * 0.3);
    RETURN NEW;
END $$;
CREATE TRIGGER slow BEFORE INSERT ON unified_chat_sessions FOR EACH ROW EXECUTE FUNCTION slow()
"""
"""So that whoever is hit has jobs in its hands."""
WORKSPACES = """
SELECT m.id::text, m.provisioning_state,
    (SELECT count(*) FROM project_advisors a WHERE a.project_id = m.project_id AND a.status = 'active') AS access_rows,
    (SELECT count(*) FROM unified_chat_sessions s WHERE s.project_id = m.project_id) AS sessions,
    (SELECT count(*) FROM unified_chat_messages c WHERE c.project_id = m.project_id) AS welcomes,
    (SELECT count(*) FROM project_events e
        WHERE e.project_id = m.project_id AND e.type = 'advisor.workspace_ready') AS events,
    (SELECT count(*) FROM workspace_provisioning_queue q
        WHERE q.match_id = m.id AND q.status = 'completed') AS jobs
FROM advisor_match_requests m WHERE m.status = 'finalized'
"""


def test_every_finalized_match_has_one_workspace_whatever_becomes_of_the_processes(
    own: World, tell: Tell
) -> None:
    wanted, count, seed = rounds(20, full=1_000), rounds(2, full=60), new_seed()
    own.conn.exec_driver_sql(SLOW)
    processes = own.start_together(SERVERS, **SETTINGS)
    processes += [own.start_worker(**SETTINGS) for _ in range(WORKERS)]
    with Load(own, callers=8, servers=SERVERS, projects=rounds(2_000, full=20_000), rest=0.1) as load:
        with ThreadPoolExecutor(len(processes)) as pool:
            doing = [
                pool.submit(torment, process, random.Random(f"{seed}/{number}"), count)
                for number, process in enumerate(processes)
            ]
            done = sum((each.result() for each in doing), Counter[str]())
        eventually(
            lambda: len(load.acknowledged.accepted) >= wanted,
            timeout=rounds(60, full=300),
            what=f"{wanted} are finalized",
        )
    eventually(lambda: no_job_is_left(own), timeout=30, what="no job is left")
    again = approve_again(own)
    eventually(load.all_provisioned, timeout=30, what="every finalized match has its workspace")
    load.assert_kept()
    made = own.rows(WORKSPACES)
    assert {tuple(row[1:]) for row in made} == {("ready", 1, 1, 1, 1, 1)}
    assert set(load.acknowledged.accepted) <= {row.id for row in made}
    own.assert_sound()
    tell(f"{len(made)} matches, {dict(done)}, {again} rolled back and approved again; seed {seed}")


def torment(process: ServerProcess, dice: random.Random, count: int) -> Counter[str]:
    """Kills and freezes the process so many times; how often which."""
    done: Counter[str] = Counter()
    faults = [FAULTS[number % len(FAULTS)] for number in range(count)]
    for fault in dice.sample(faults, count):
        # Where in its work it is hit is left to chance.
        time.sleep(dice.uniform(0.2, 1.5))
        if fault == "killed":
            process.kill()
            process.start()
        else:
            process.freeze()
            time.sleep(dice.uniform(0, 1) if fault == "frozen for a moment" else LEASE_SECONDS + 1)
            process.thaw()
        done[fault] += 1
    return done


def no_job_is_left(world: World) -> bool:
    left = "SELECT count(*) FROM workspace_provisioning_queue WHERE status NOT IN ('completed', 'failed')"
    return bool(world.value(left) == 0)


def approve_again(world: World) -> int:
    """The advisors whose decision was taken back, since three attempts died, decide again. How many they were."""
    rolled_back = world.rows(
        "SELECT id::text, matched_advisor_id::text AS advisor FROM advisor_match_requests"
        " WHERE status = 'client_approved' AND provisioning_state = 'failed'"
    )
    for row in rolled_back:
        world.advisor(row.advisor).submit_advisor_decision(row.id, "DECISION_APPROVED")
    return len(rolled_back)
