"""What an admin sees of notifications, and can do about them."""

from __future__ import annotations

from uuid import uuid4

import pytest

from advisor_matching.v1.types_pb2 import NotificationPriority, NotificationStatus
from matching_client import InvalidArgument, NotificationNotFound, PermissionDenied
from tests.support.wait import eventually
from tests.support.world import World

PENDING = NotificationStatus.NOTIFICATION_STATUS_PENDING
SENT = NotificationStatus.NOTIFICATION_STATUS_SENT
DEAD = NotificationStatus.NOTIFICATION_STATUS_DEAD
KILL = (
    "UPDATE notification_outbox SET status = 'dead', attempt_count = 3, last_error = 'webhook: answered 500'"
)


def wait_until_sent(world: World) -> None:
    count = "SELECT count(*) FROM notification_outbox WHERE status = 'pending'"
    eventually(lambda: world.value(count) == 0, what="nothing is pending")


def test_a_notification_is_listed_as_it_was_delivered(world: World) -> None:
    project, advisor, match = world.matched()
    wait_until_sent(world)
    [told] = world.admin().list_notifications(recipient_id=advisor).notifications
    assert (told.type, told.recipient_id, told.status) == ("match_offered", advisor, SENT)
    assert told.priority == NotificationPriority.NOTIFICATION_PRIORITY_NORMAL
    assert (told.payload["matchId"], told.payload["projectId"]) == (match.id, project)
    assert (told.attempt_count, told.last_error, told.HasField("next_attempt_at")) == (1, "", False)
    assert abs(told.created_at.ToNanoseconds() - match.created_at.ToNanoseconds()) < 5e9


def test_notifications_are_listed_newest_first_in_pages(world: World) -> None:
    for _ in range(5):
        world.matched()
        world.execute("UPDATE advisor_availability SET status = 'offline'")
    seen, token = [], ""
    while True:
        page = world.admin().list_notifications(type="match_offered", page_size=2, page_token=token)
        seen += [one.id for one in page.notifications]
        token = page.next_page_token
        if not token:
            break
    assert seen == [
        str(one)
        for one in world.values(
            "SELECT id FROM notification_outbox WHERE type = 'match_offered' ORDER BY created_at DESC, id DESC"
        )
    ]
    assert len(seen) == 5


def test_a_dead_notification_is_found_and_delivered_after_all(world: World) -> None:
    world.matched()
    wait_until_sent(world)
    world.execute(KILL)
    admin = world.admin()
    [found] = admin.list_notifications(statuses=["NOTIFICATION_STATUS_DEAD"]).notifications
    assert (found.status, found.attempt_count, found.last_error) == (DEAD, 3, "webhook: answered 500")
    revived = admin.resend_notification(found.id)
    assert (revived.id, revived.status, revived.attempt_count) == (found.id, PENDING, 0)
    assert revived.HasField("next_attempt_at")
    wait_until_sent(world)
    again = admin.resend_notification(found.id)
    assert (again.status, again.attempt_count) == (SENT, 1), "one that is not dead is returned unchanged"
    assert admin.list_notifications(statuses=["NOTIFICATION_STATUS_DEAD"]).notifications == []


def test_what_never_was_is_not_found(world: World) -> None:
    with pytest.raises(NotificationNotFound) as refused:
        world.admin().resend_notification(str(uuid4()))
    assert refused.value.reason == "NOTIFICATION_NOT_FOUND"


def test_nobody_else_reads_or_sends_on(world: World) -> None:
    for caller in (world.service(), world.caller(world.new_person(), "client", "advisor")):
        with pytest.raises(PermissionDenied):
            caller.list_notifications()
        with pytest.raises(PermissionDenied):
            caller.resend_notification(str(uuid4()))


def test_bad_filters_are_told(world: World) -> None:
    with pytest.raises(InvalidArgument) as refused:
        world.admin().list_notifications(recipient_id="x", page_size=201)
    assert {violation.field for violation in refused.value.field_violations} == {"recipient_id", "page_size"}
