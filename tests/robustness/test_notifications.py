"""Notifications reach their people whatever becomes of receivers and servers: at least once, in order, under one id."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import pytest

from matching_server.workers.notifier import SENDERS
from tests.support.processes import HOST
from tests.support.receivers import (
    SECRET,
    MailReceiver,
    Post,
    WebhookReceiver,
    mail_receiver,
    webhook_receiver,
)
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import World

Tell = Callable[[str], None]
LIMIT = 0.5
APPROVED = "DECISION_APPROVED"
WRITE = """
INSERT INTO notification_outbox (type, recipient_id, payload, created_at)
SELECT 'match_offered', recipient, jsonb_build_object('number', number),
    clock_timestamp() - make_interval(secs => 0.001 * (:each - number))
FROM generate_series(1, :each) number, unnest(CAST(:recipients AS uuid[])) recipient
"""


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as receiver:
        yield receiver


def settings(receiver: WebhookReceiver, **others: object) -> dict[str, Any]:
    """A server's, so that faults take little time."""
    return {
        "notify_webhook_url": receiver.url,
        "notify_webhook_secret": SECRET,
        "notify_timeout_seconds": LIMIT,
        "notify_lease_seconds": 3 * LIMIT,
        "notify_backoff_seconds": 0.05,
        **others,
    }


def write(world: World, recipients: list[UUID], each: int = 1) -> None:
    """So many notifications for everybody, those of all under way at the same time."""
    world.execute(WRITE, recipients=recipients, each=each)


def pending(world: World) -> int:
    """How many have neither arrived nor been given up."""
    return int(world.value("SELECT count(*) FROM notification_outbox WHERE status = 'pending'"))


def wait_until_settled(world: World, *, timeout: float = 30.0) -> None:
    eventually(lambda: pending(world) == 0, timeout=timeout, what="nothing is pending any more")


def statuses(world: World) -> Mapping[str, int]:
    """How many notifications there are in each status."""
    return Counter(world.values("SELECT status FROM notification_outbox"))


def in_order(world: World) -> dict[str, list[UUID]]:
    """Everybody's notifications as they were written."""
    found: dict[str, list[UUID]] = {}
    for row in world.rows("SELECT recipient_id, id FROM notification_outbox ORDER BY created_at, id"):
        found.setdefault(str(row.recipient_id), []).append(row.id)
    return found


def assert_kept(world: World, receiver: WebhookReceiver) -> None:
    """All arrived, under their ids, and none of anybody's before an earlier one had."""
    assert receiver.refused == []
    taken = {post.id for post in receiver.taken}
    for recipient, written in in_order(world).items():
        assert set(written) <= taken, "some never arrived"
        places = [written.index(id_) for id_ in receiver.arrivals(recipient)]
        assert places == sorted(places), "a later one came before an earlier one was done"


def test_a_match_is_told_to_its_people_by_every_sink(own: World, receiver: WebhookReceiver) -> None:
    with mail_receiver() as mail:
        server = own.start(
            **settings(
                receiver, notify_smtp_url=f"smtp://{HOST}:{mail.port}", notify_from="matching@service.example"
            )
        )
        own.execute(
            "ALTER TABLE auth.users ALTER email SET DEFAULT gen_random_uuid()::text || '@example.com'"
        )
        project, advisor, match = own.finalized()
        own.wait_for_ready(match.id)
        wait_until_settled(own)
        owner = own.value("SELECT owner_id FROM projects")
        told = [(str(post.recipient), post.content["type"]) for post in receiver.taken]
        assert sorted(told) == sorted(
            [(advisor, "match_offered"), (str(owner), "advisor_accepted"), (str(owner), "workspace_ready")]
        )
        for post in receiver.taken:
            assert post.content["data"]["payload"]["matchId"] == match.id
            assert post.content["data"]["payload"]["projectId"] == project
        assert_mailed(own, mail)
        assert_kept(own, receiver)
        log = server.log(last=100_000)
        assert SECRET not in log
        assert "@example.com" not in log
        assert receiver.url not in log


def test_what_a_server_commits_it_delivers_at_once(own: World, receiver: WebhookReceiver) -> None:
    """It looks every second anyhow, and once more after a delivery: neither must be what finds it."""
    idle = "SELECT coalesce(max(updated_at) < clock_timestamp() - interval '0.3 s', true) FROM notification_outbox"
    own.start(**settings(receiver))
    own.new_advisor(slots=20)
    seconds = []
    for number in range(1, 8):
        eventually(lambda: own.value(idle), what="there was nothing to do for a while")
        own.service().create_match(own.new_project())
        began = time.monotonic()
        eventually(lambda: len(receiver.taken) == number, interval=0.005, what="it arrives")  # noqa: B023
        seconds.append(time.monotonic() - began)
    assert median(seconds) < 0.4, seconds


def assert_mailed(world: World, mail: MailReceiver) -> None:
    """Everybody has their mail, each under an id that is the notification's."""
    expected = world.rows(
        "SELECT u.email, n.id FROM notification_outbox n JOIN auth.users u ON u.id = n.recipient_id"
    )
    found = [(message["To"], message["Message-ID"]) for message in mail.messages]
    assert sorted(found) == sorted((row.email, f"<{row.id}@service.example>") for row in expected)


def test_who_is_gone_or_has_no_address_gets_no_mail_and_is_tried_once(own: World) -> None:
    with mail_receiver() as mail:
        own.start(notify_smtp_url=f"smtp://{HOST}:{mail.port}", notify_from="matching@service.example")
        person = own.new_person()
        own.execute("UPDATE auth.users SET email = NULL WHERE id = :id", id=person)
        write(own, [uuid4(), UUID(person)])
        wait_until_settled(own)
        assert mail.messages == []
    errors = own.values("SELECT last_error FROM notification_outbox WHERE status = 'dead' ORDER BY 1")
    assert errors == ["smtp: the recipient has no address", "smtp: the recipient no longer exists"]
    assert own.values("SELECT DISTINCT attempt_count FROM notification_outbox") == [1]


# ------------------------------------------------------------------------------------- receivers that do not do well


def after(seconds: float) -> Callable[[Post], int]:
    """Answers that all is well, in its own time."""

    def answer(_post: Post) -> int:
        time.sleep(seconds)
        return 200

    return answer


def hanging(_post: Post) -> int:
    """Answers nothing in any useful time."""
    time.sleep(20)
    return 500


FAULTS: dict[str, tuple[Callable[[Post], int], str]] = {
    "answering 500": (lambda _: 500, "webhook: answered 500"),
    "slow": (hanging, "webhook: no answer in time"),
    "answering 200 after the time-out": (after(1.5 * LIMIT), "webhook: no answer in time"),
}


@pytest.mark.parametrize("how", FAULTS)
def test_a_receiver_that_fails_twice_gets_all_in_order_at_the_third(
    own: World, receiver: WebhookReceiver, how: str
) -> None:
    seen: Counter[UUID] = Counter()
    fault, _ = FAULTS[how]

    def fail_twice(post: Post) -> int:
        seen[post.id] += 1
        return fault(post) if seen[post.id] < 3 else 200

    receiver.answer = fail_twice
    own.start(**settings(receiver))
    write(own, [uuid4() for _ in range(8)], each=2)
    wait_until_settled(own)
    assert own.values("SELECT DISTINCT status || attempt_count FROM notification_outbox") == ["sent3"]
    assert_kept(own, receiver)


@pytest.mark.parametrize("how", FAULTS)
def test_a_receiver_that_goes_on_failing_is_tried_three_times_and_calls_go_on(
    own: World, receiver: WebhookReceiver, how: str
) -> None:
    receiver.answer, error = FAULTS[how]
    own.start(**settings(receiver))
    _, advisor, match = own.matched()
    write(own, [uuid4() for _ in range(3)], each=2)
    own.advisor(advisor).submit_advisor_decision(match.id, APPROVED)
    wait_until_settled(own)
    rows = own.rows("SELECT DISTINCT status, attempt_count, last_error FROM notification_outbox")
    assert [tuple(row) for row in rows] == [("dead", 3, error)]
    assert set(Counter(post.id for post in receiver.arrived).values()) == {3}

    receiver.answer = lambda _: 200
    listed = own.admin().list_notifications(statuses=["NOTIFICATION_STATUS_DEAD"]).notifications
    assert len(listed) == 8
    for notification in reversed(listed):
        own.admin().resend_notification(notification.id)
    wait_until_settled(own)
    assert statuses(own) == {"sent": 8}
    assert {str(post.id) for post in receiver.taken} >= {notification.id for notification in listed}


def test_a_receiver_that_was_down_gets_all_in_order_once_it_is_up(
    own: World, receiver: WebhookReceiver
) -> None:
    receiver.down()
    own.start(**settings(receiver, notify_backoff_seconds=5))
    own.matched()
    write(own, [uuid4() for _ in range(10)], each=3)
    tried = (
        "SELECT count(*) FROM notification_outbox WHERE last_error = 'webhook: not reached (ConnectError)'"
    )
    eventually(lambda: own.value(tried) == 11, what="everybody's first has been tried")
    receiver.up()
    wait_until_settled(own)
    assert statuses(own) == {"sent": 31}
    assert_kept(own, receiver)


def test_a_receiver_that_wants_no_more_is_asked_once(own: World, receiver: WebhookReceiver) -> None:
    receiver.answer = lambda _: 410
    own.start(**settings(receiver))
    write(own, [uuid4() for _ in range(3)])
    wait_until_settled(own)
    rows = own.rows("SELECT DISTINCT status, attempt_count, last_error FROM notification_outbox")
    assert [tuple(row) for row in rows] == [("dead", 1, "webhook: answered 410")]
    assert len(receiver.arrived) == 3


def test_one_recipient_whose_deliveries_hang_holds_up_nobody(own: World, receiver: WebhookReceiver) -> None:
    dead, others = uuid4(), [uuid4() for _ in range(2 * SENDERS)]
    receiver.answer = lambda post: hanging(post) if post.recipient == dead else 200
    own.start(**settings(receiver, notify_timeout_seconds=10, notify_lease_seconds=30))
    write(own, [dead], each=20)
    eventually(lambda: receiver.arrivals(dead), what="the first hangs")
    write(own, others, each=3)
    unsent = "SELECT count(*) FROM notification_outbox WHERE status = 'pending' AND recipient_id <> :dead"
    eventually(lambda: own.value(unsent, dead=dead) == 0, what="all others have theirs")
    assert len(receiver.arrivals(dead)) == 1, "the first still hangs"
    assert_order_of(own, receiver, others)


def assert_order_of(world: World, receiver: WebhookReceiver, recipients: list[UUID]) -> None:
    written = in_order(world)
    for recipient in recipients:
        assert receiver.arrivals(recipient) == written[str(recipient)]


# --------------------------------------------------------------------------------------- servers that do not do well


def test_servers_killed_while_they_deliver_lose_nothing_and_keep_the_order(
    own: World, receiver: WebhookReceiver, tell: Tell
) -> None:
    receiver.answer = after(0.03)
    servers = own.start_together(2, **settings(receiver))
    people, kills = [uuid4() for _ in range(40)], rounds(4)
    for kill in range(kills):
        write(own, people, each=6)
        enough = len(receiver.arrived) + 20
        eventually(lambda: len(receiver.arrived) > enough, what="they are delivering")  # noqa: B023
        victim = servers[kill % 2]
        victim.kill()
        held = own.values("SELECT id FROM notification_outbox WHERE lease_token IS NOT NULL")
        victim.start()
        # Before the next one dies: three lost leases would be the end.
        eventually(lambda: not any_pending(own, held), timeout=20, what="what was lost is delivered")  # noqa: B023
    wait_until_settled(own, timeout=60)
    written = 240 * kills
    assert statuses(own) == {"sent": written}
    assert_kept(own, receiver)
    again = {id_ for id_, count in Counter(post.id for post in receiver.arrived).items() if count > 1}
    tried_again = set(own.values("SELECT id FROM notification_outbox WHERE attempt_count > 1"))
    assert again <= tried_again, "without a fault everything comes once"
    assert tried_again, "nobody was killed while delivering"
    tell(f"{kills} kills, {written} notifications, {len(again)} of them arrived twice")


def any_pending(world: World, ids: list[UUID]) -> bool:
    """Whether one of them has not arrived yet."""
    query = "SELECT EXISTS (SELECT FROM notification_outbox WHERE status = 'pending' AND id = ANY (:ids))"
    return bool(world.value(query, ids=ids))


def test_a_server_that_freezes_between_sending_and_writing_writes_nothing_afterwards(
    own: World, receiver: WebhookReceiver
) -> None:
    arrived, answer = threading.Event(), threading.Event()

    def hold_the_first(_post: Post) -> int:
        if not arrived.is_set():
            arrived.set()
            answer.wait(20)
        return 200

    receiver.answer = hold_the_first
    recipient = uuid4()
    frozen = own.start(**settings(receiver))
    write(own, [recipient], each=2)
    assert arrived.wait(10)
    frozen.freeze()
    answer.set()
    own.start(**settings(receiver))
    wait_until_settled(own)
    state = "SELECT * FROM notification_outbox ORDER BY created_at, id"
    before = own.rows(state)
    assert [(row.status, row.attempt_count) for row in before] == [("sent", 2), ("sent", 1)]
    frozen.thaw()
    eventually(lambda: '"notification_lease_lost"' in frozen.log(), what="it has noticed")
    assert own.rows(state) == before
    first, second = in_order(own)[str(recipient)]
    assert receiver.arrivals(recipient) == [first, first, second]


def test_a_server_that_ends_in_good_order_writes_down_what_it_was_sending(
    own: World, receiver: WebhookReceiver
) -> None:
    receiver.answer = after(0.3)
    server = own.start(**settings(receiver))
    write(own, [uuid4() for _ in range(10)])
    eventually(lambda: len(receiver.arrived) == 10, what="all are being sent")
    assert server.terminate() == 0
    assert statuses(own) == {"sent": 10}
    assert len(receiver.arrived) == 10
