from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from advisor_matching.v1 import types_pb2 as pb
from advisor_matching.v1.directory_service_pb2 import ListAdvisorsResponse
from advisor_matching.v1.event_service_pb2 import ListProjectEventsResponse
from advisor_matching.v1.match_service_pb2 import GetMatchResponse, ListProjectMatchesResponse
from matching_client.commands import views
from matching_client.commands.times import due, lasting, local
from matching_client.commands.words import word, words
from tests.support.command import matching, ok
from tests.unit.client.scripted import GET_MATCH, WATCH, ScriptedServer, answer, event, heartbeat, stream
from tests.unit.client.stack.manifests import write

A = "11111111-1111-4111-8111-111111111111"
LIST = "/advisor_matching.v1.MatchService/ListProjectMatches"
ADVISORS = "/advisor_matching.v1.DirectoryService/ListAdvisors"
EVENTS = "/advisor_matching.v1.EventService/ListProjectEvents"
MATCH = pb.Match(
    id=A,
    status="MATCH_STATUS_CLIENT_APPROVED",
    matched_advisor=pb.AdvisorSummary(id="adv", display_name="Ada", skills=["maps"], rating=4.5),
    score=98.06,
    client_decision=pb.DecisionRecord(
        decision="DECISION_APPROVED", reason="fine", decided_at=Timestamp(seconds=1_750_000_000)
    ),
    etag="v2",
)


def test_a_record_shows_what_there_is_and_leaves_out_what_is_not(server: ScriptedServer) -> None:
    server.script(GET_MATCH, answer(GetMatchResponse(match=MATCH)))
    out = ok("matches", "get", A).out
    shown = dict(line.split("  ", 1) for line in out.splitlines())
    assert shown["status"].strip() == "client_approved"
    assert shown["advisor"].strip() == "Ada (adv)"
    assert shown["client"].strip() == f"approved at {local(Timestamp(seconds=1_750_000_000))}: fine"
    assert shown["score"].strip() == "98.06"
    assert "expires at" not in shown
    assert "workspace" not in shown


def test_json_is_what_protobuf_writes(server: ScriptedServer) -> None:
    server.script(GET_MATCH, answer(GetMatchResponse(match=MATCH)))
    parsed = pb.Match()
    json_format.Parse(ok("--json", "matches", "get", A).out, parsed)
    assert parsed == MATCH


def test_a_page_tells_how_to_go_on(server: ScriptedServer) -> None:
    server.script(LIST, answer(ListProjectMatchesResponse(matches=[MATCH], next_page_token="more")))
    done = ok("matches", "list", A)
    assert "client_approved" in done.out
    assert "--page-token more" in done.err
    done = ok("matches", "list", A, "--json")
    assert (done.json["nextPageToken"], done.err) == ("more", "")


def test_all_pages_are_one_table_or_a_line_an_entry(server: ScriptedServer) -> None:
    pages = [
        ListAdvisorsResponse(advisors=[pb.Advisor(display_name="Ada")], next_page_token="two"),
        ListAdvisorsResponse(advisors=[pb.Advisor(display_name="Bob")]),
    ]
    server.script(ADVISORS, *map(answer, pages))
    done = ok("advisors", "list", "--all")
    assert [name for name in ("Ada", "Bob") if name in done.out] == ["Ada", "Bob"]
    assert done.err == ""
    server.script(ADVISORS, *map(answer, pages))
    done = ok("advisors", "list", "--all", "--json")
    assert [line["displayName"] for line in done.lines] == ["Ada", "Bob"]
    assert b"two" in server.of(ADVISORS)[-1].body


def test_all_events_are_listed_to_the_end_of_the_log(server: ScriptedServer) -> None:
    pages = [
        ListProjectEventsResponse(events=[pb.ProjectEvent(id="e1", type="message.new")], last_event_id="e1"),
        ListProjectEventsResponse(last_event_id="e1"),
    ]
    server.script(EVENTS, *map(answer, pages))
    assert [line["id"] for line in ok("events", "list", A, "--all", "--json").lines] == ["e1"]


def test_ids_stay_whole_on_a_narrow_terminal(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("matching_client.commands.output._WIDTH_OF_FILES", 90)
    match = pb.Match(id=A, project_id=A, matched_advisor=pb.AdvisorSummary(display_name="Ada Ada " * 5))
    server.script(LIST, answer(ListProjectMatchesResponse(matches=[match])))
    assert ok("matches", "list", A).out.count(A) == 2


def test_nothing_found_is_said(server: ScriptedServer) -> None:
    assert ok("matches", "list", A).out == "no matches\n"


def test_a_watch_prints_a_line_an_event_and_how_to_go_on(server: ScriptedServer) -> None:
    server.script(WATCH, stream(event(1), event(2), heartbeat("beat"), hold=True))
    done = ok("watch", A, "--until", "advisor.matched")
    assert done.out.splitlines()[1].split()[1:5] == ["advisor.matched", "match", "a", "match"]
    assert len(done.out.splitlines()) == 2
    assert "--since event-1" in done.err


def test_a_watch_for_an_event_that_there_is_not_does_not_begin(server: ScriptedServer) -> None:
    done = matching("watch", A, "--until", "workspace_ready")
    assert (done.code, done.out) == (2, "")
    assert "there is no such event; there are advisor.match_pending" in done.err


def test_a_watch_prints_json_lines(server: ScriptedServer) -> None:
    server.script(WATCH, stream(event(1), hold=True))
    [line] = ok("watch", A, "--json", "--until", "advisor.matched").lines
    assert (line["id"], line["match"]["matchId"]) == ("event-1", "a match")


@pytest.mark.parametrize(
    ("payload", "happened"),
    [
        (
            {
                "match": pb.MatchEvent(
                    match_id="m",
                    status="MATCH_STATUS_MATCHED",
                    previous_status="MATCH_STATUS_PENDING",
                    advisor_name="Ada",
                    score=90.5,
                    reason="so",
                )
            },
            "match m pending -> matched, advisor Ada, score 90.5: so",
        ),
        ({"match": pb.MatchEvent(match_id="m", status="MATCH_STATUS_PENDING")}, "match m new -> pending"),
        ({"message": pb.ChatMessage(actor_type="ACTOR_TYPE_CLIENT", text="two\nlines")}, "client: two lines"),
        (
            {"workspace_ready": pb.WorkspaceReadyEvent(advisor_id="a")},
            "the workspace is open to advisor a",
        ),
        (
            {
                "provisioning_failed": pb.ProvisioningFailedEvent(
                    reverted_to="MATCH_STATUS_CLIENT_APPROVED", reason="no", attempts=3
                )
            },
            "no workspace after 3 attempts, back to client_approved: no",
        ),
        (
            {"released": pb.AdvisorReleasedEvent(advisor_id="a", reason="done")},
            "advisor a was released: done",
        ),
        ({}, ""),
    ],
)
def test_what_happened_is_said_in_words(payload: dict[str, object], happened: str) -> None:
    assert views.event(pb.ProjectEvent(**payload))[2] == happened  # type: ignore[arg-type]


def test_every_event_of_the_contract_has_words() -> None:
    [payload] = pb.ProjectEvent.DESCRIPTOR.oneofs
    for field in payload.fields:
        event = pb.ProjectEvent()
        getattr(event, field.name).SetInParent()
        assert bool(views.event(event)[2]) is (field.name != "heartbeat")


def test_texts_cannot_steer_the_terminal(server: ScriptedServer) -> None:
    match = pb.Match(id=A, match_reason="\x1b[31mred\x07 [bold]not bold[/bold] :smile:")
    server.script(GET_MATCH, answer(GetMatchResponse(match=match)))
    out = ok("matches", "get", A).out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[bold]not bold[/bold] :smile:" in out


def test_colours_are_for_terminals_that_want_them(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script(GET_MATCH, answer(GetMatchResponse(match=MATCH)))
    assert "\x1b[" not in ok("matches", "get", A).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[33mclient_approved" in ok("matches", "get", A).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[33m" not in ok("matches", "get", A).out


def test_a_message_can_come_from_stdin(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        def read(self) -> str:
            return "hello\nthere\n"

    monkeypatch.setattr("sys.stdin", Stdin())
    ok("chat", "send", A, "-")
    assert b"hello\nthere" in server.received[-1].body
    assert b"there\n" not in server.received[-1].body


@pytest.mark.parametrize(
    ("redirected", "code", "told"),
    [(">&-", 0, ""), (">/dev/full", 2, "matching: standard output: No space left on device\n")],
)
def test_an_output_that_takes_nothing_is_no_defect_of_the_command(
    server: ScriptedServer, redirected: str, code: int, told: str
) -> None:
    server.script(GET_MATCH, answer(GetMatchResponse(match=MATCH)))
    command = f"{sys.executable} -m matching_client.cli matches get {A} {redirected}"
    done = subprocess.run(command, check=False, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (code, told)


def test_the_version_is_printed() -> None:
    assert ok("--version").out.startswith("matching ")


def test_a_project_can_be_described_by_its_manifests(server: ScriptedServer, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    write(folder, "package.json", ["vue", "stripe"], ["typescript"])
    stack = {"framework": "vue", "languages": ["typescript"], "complexityFactors": ["payments"]}
    done = ok("projects", "add", "--from", folder, "--dry-run", "--json")
    assert done.json == stack
    assert server.received == []
    done = ok("projects", "add", "--from", folder / "package.json", "--owner-id", A)
    assert "framework: vue; languages: typescript; factors: payments" in done.err
    sent = server.received[-1].body
    for text in (b"shop", b"vue", b"payments", A.encode()):
        assert text in sent
    ok("projects", "add", "--from", folder, "--owner-id", A, "--framework", "nuxt", "--name", "other")
    assert b"nuxt" in server.received[-1].body
    assert b"vue" not in server.received[-1].body


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (3600, "1 h"),
        (7199, "1 h 59 min"),
        (90_000, "1 d 1 h"),
        (86_460, "1 d"),
        (61, "1 min 1 s"),
    ],
)
def test_spans_are_said_by_their_largest_units(seconds: int, said: str) -> None:
    assert lasting(timedelta(seconds=seconds)) == said


def test_how_far_away_a_time_is_is_said() -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    time = Timestamp()
    time.FromDatetime(now + timedelta(minutes=5))
    assert due(time, now).endswith("(in 5 min)")
    time.FromDatetime(now - timedelta(hours=2))
    assert due(time, now).endswith("(2 h ago)")
    assert due(Timestamp(), now) == ""


def test_words_are_those_of_the_contract_without_the_enum_s_name() -> None:
    assert words(pb.Decision) == ["approved", "declined"]
    assert word(pb.MatchStatus, 3) == "client_approved"
    assert word(pb.MatchStatus, 0) == ""
    assert word(pb.MatchStatus, 99) == "99"


def test_an_unknown_server_is_told_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    done = matching("info", "--address", "127.0.0.1:1", "--timeout", "0.2")
    assert done.code == 6
    assert "127.0.0.1:1" in done.err


def test_a_connection_file_on_the_command_line_goes_over_the_environment(
    server: ScriptedServer, tmp_path: Path
) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"address": server.address, "key_id": "other", "secret": "x" * 32}))
    ok("info", "--connection-file", path, "--address", server.address)
    ok("matches", "get", A, "--connection-file", path)
    assert server.received[-1].part("kid") == "other"
