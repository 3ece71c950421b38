"""What a stream may see is looked up again whenever it may have changed, and nothing is shown meanwhile."""

from __future__ import annotations

from uuid import uuid4

import pytest

from matching_server.domain.errors import ProjectNotFound
from matching_server.domain.events import EventType
from matching_server.domain.model import Role
from matching_server.operations.watching import WatchRights
from matching_server.streams.watch import _MOVES_RIGHTS
from tests.support.wait import eventually
from tests.unit.streams.memory import EVERYTHING, Stage, arrives, ended

AN_OFFER = uuid4()
OFFERED = WatchRights(everything=False, matches=frozenset({AN_OFFER}), by_place=True)
ACTIVE = WatchRights(everything=True, by_place=True)


@pytest.mark.parametrize("type_", sorted(_MOVES_RIGHTS))
def test_a_right_that_ends_with_an_event_ends_the_stream_after_it(stage: Stage, type_: EventType) -> None:
    advisor = stage.open(rights=OFFERED, role=Role.ADVISOR)
    owner = stage.open()
    stage.commit(match_id=AN_OFFER)
    arrives(advisor, [1])
    stage.log.now = None
    stage.commit(match_id=AN_OFFER, type_=type_)
    stage.commit(match_id=AN_OFFER)
    error = ended(advisor)
    assert isinstance(error, ProjectNotFound)
    assert str(stage.project) in str(error)
    assert advisor.seqs == [1, 2]
    arrives(owner, [1, 2, 3])


def test_a_right_that_ended_while_history_was_read_ends_the_stream_there(stage: Stage) -> None:
    for type_ in (EventType.MATCHED, EventType.MATCH_EXPIRED, EventType.MATCHED):
        stage.log.append(stage.project, type_, AN_OFFER)
    stage.log.now = None
    advisor = stage.open(rights=OFFERED, role=Role.ADVISOR)
    assert isinstance(ended(advisor), ProjectNotFound)
    assert advisor.seqs == [1, 2]


def test_an_advisor_whose_workspace_is_ready_sees_the_rest(stage: Stage) -> None:
    advisor = stage.open(rights=OFFERED, role=Role.ADVISOR)
    stage.commit(type_=EventType.MESSAGE_NEW)
    stage.commit(match_id=AN_OFFER)
    stage.log.now = ACTIVE
    stage.commit(match_id=AN_OFFER, type_=EventType.WORKSPACE_READY)
    for _ in range(3):
        stage.commit(type_=EventType.MESSAGE_NEW)
    arrives(advisor, [2, 3, 4, 5, 6])


def test_rights_are_looked_up_only_after_what_can_move_them(stage: Stage) -> None:
    advisor, owner = stage.open(rights=ACTIVE, role=Role.ADVISOR), stage.open()
    for type_ in EventType:
        if type_ not in _MOVES_RIGHTS:
            stage.commit(type_=type_)
    arrives(advisor, list(range(1, len(EventType) - len(_MOVES_RIGHTS) + 1)))
    assert stage.log.asked_for_rights == 0
    stage.commit(type_=EventType.RELEASED)
    eventually(lambda: stage.log.asked_for_rights == 1)
    assert not owner.ended.is_set()


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("role", [Role.CLIENT, Role.ADVISOR])
def test_a_right_that_ends_without_an_event_ends_the_stream_soon(stage: Stage, role: Role) -> None:
    reader = stage.open(role=role, rights=EVERYTHING if role is Role.CLIENT else ACTIVE)
    platform = stage.open(role=Role.SERVICE)
    stage.commit()
    arrives(reader, [1])
    asked = stage.log.asked_for_rights
    eventually(lambda: stage.log.asked_for_rights > asked)
    stage.commit()
    arrives(reader, [1, 2])
    stage.log.now = None
    assert isinstance(ended(reader), ProjectNotFound)
    stage.commit()
    arrives(platform, [1, 2, 3])
