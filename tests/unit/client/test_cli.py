from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from advisor_matching.v1.match_service_pb2 import GetMatchRequest
from matching_client import cli
from tests.unit.client.scripted import (
    CREATE_MATCH,
    GET_MATCH,
    KEY_ID,
    SECRET,
    USER,
    WATCH,
    Received,
    ScriptedServer,
)

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[3]
WHO = ("--user-id", USER)
OTHER = "0d6b3f1e-2c4a-4b8f-8a58-6a1f2f0c9d11"


@pytest.fixture(autouse=True)
def _key_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ADDRESS", "CONNECTION_FILE", "USER_ID", "EMAIL", "ROLES"):
        monkeypatch.delenv(f"MATCHING_{name}", raising=False)
    monkeypatch.setenv("MATCHING_KEY_ID", KEY_ID)
    monkeypatch.setenv("MATCHING_SECRET", SECRET)
    monkeypatch.setenv("COLUMNS", "200")


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `matching ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["matching", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


class Run:
    """The command, run in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        return run(self._capsys, self._monkeypatch, *arguments)

    def headers(self, *arguments: str) -> dict[str, str]:
        code, out, err = self("sign", *arguments, "--format", "json")
        assert (code, err) == (0, "")
        found: dict[str, str] = json.loads(out)
        return found


@pytest.fixture
def matching(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(capsys, monkeypatch)


def test_help_lists_what_there_is(matching: Run) -> None:
    code, out, _ = matching("--help")
    assert code == 0
    for name in ("matches", "decide", "availability", "projects", "advisors", "chat", "events", "admin"):
        assert f"\n  {name} " in out
    for name in ("watch", "info", "sign", "--install-completion"):
        assert f"\n  {name} " in out


def test_by_default_the_body_is_unsigned(matching: Run) -> None:
    for arguments in (WHO, (*WHO, "--unsigned")):
        headers = matching.headers("MatchService/GetMatch", *arguments)
        call = Received(GET_MATCH, b"whatever", headers, None)
        call.assert_signed()
        assert call.part("body") == "unsigned"


def test_a_body_is_signed_as_the_bytes_it_stands_for(matching: Run) -> None:
    headers = matching.headers("MatchService.GetMatch", *WHO, "--body", '{"matchId": "m"}')
    call = Received(GET_MATCH, GetMatchRequest(match_id="m").SerializeToString(), headers, None)
    call.assert_signed()
    assert call.part("body") == "sha256"


def test_claims_come_from_options_over_the_environment(
    matching: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATCHING_USER_ID", OTHER)
    monkeypatch.setenv("MATCHING_ROLES", "service")
    claims = json.loads(matching.headers("MatchService/GetMatch")["x-sheen-claims"])
    assert (claims["userId"], claims["roles"]) == (OTHER, ["service"])
    arguments = (*WHO, "--email", "ada@example.com", "--roles", "client, admin")
    claims = json.loads(matching.headers("MatchService/GetMatch", *arguments)["x-sheen-claims"])
    assert (claims["userId"], claims["email"]) == (USER, "ada@example.com")
    assert claims["roles"] == ["client", "admin"]


def test_streams_get_claims_for_an_hour(matching: Run) -> None:
    headers = matching.headers("EventService/WatchProjectEvents", *WHO)
    call = Received(WATCH, b"", headers, None)
    assert json.loads(headers["x-sheen-claims"])["expires"] - int(call.part("ts")) == 3600


def test_a_connection_file_named_on_the_command_line_goes_over_the_environment(
    matching: Run, tmp_path: Path
) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"address": "a:1", "key_id": "other", "secret": "x" * 32}))
    headers = matching.headers("MatchService/GetMatch", *WHO, "--connection-file", str(path))
    call = Received(GET_MATCH, b"", headers, None)
    assert call.part("kid") == "other"
    call.assert_signed("x" * 32)


def test_the_default_connection_file_is_found(
    matching: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MATCHING_KEY_ID")
    monkeypatch.delenv("MATCHING_SECRET")
    path = tmp_path / ".matching" / "connection.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"address": "a:1", "key_id": "default", "secret": "x" * 32}))
    headers = matching.headers("MatchService/GetMatch", *WHO)
    assert Received(GET_MATCH, b"", headers, None).part("kid") == "default"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing command"),
        (("sign",), "Missing argument"),
        (("frobnicate",), "No such command"),
        (("sign", "MatchService/Nothing", *WHO), "no method"),
        (("sign", "MatchService/GetMatch"), "--user-id"),
        (("sign", "MatchService/GetMatch", *WHO, "--body", "{"), "the body is no GetMatchRequest"),
        (("sign", "MatchService/GetMatch", *WHO, "--body", '{"no": 1}'), "the body is no GetMatchRequest"),
        (("sign", "MatchService/GetMatch", *WHO, "--body", "{}", "--unsigned"), "exclude each other"),
        (("sign", "MatchService/GetMatch", *WHO, "--format", "xml"), "--format"),
        (("sign", "MatchService/GetMatch", *WHO, "--connection-file", "none.json"), "none.json"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    matching: Run, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = matching(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("matching: ")


def test_missing_and_half_given_keys_are_said(matching: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MATCHING_SECRET")
    code, _, err = matching("sign", "MatchService/GetMatch", *WHO)
    assert (code, "must be set together" in err) == (2, True)
    monkeypatch.delenv("MATCHING_KEY_ID")
    code, _, err = matching("sign", "MatchService/GetMatch", *WHO)
    assert (code, "MATCHING_CONNECTION_FILE" in err) == (2, True)


def test_the_secret_cannot_be_given_on_the_command_line(matching: Run) -> None:
    code, out, _ = matching("sign", "--help")
    assert code == 0
    assert "secret" not in out.lower()


SIGN = f"matching sign MatchService/CreateMatch --user-id {USER} --email \"'*z oë?$HOME'@x.de\" --roles client,admin"


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_the_words_survive_an_unquoted_substitution(shell: str, tmp_path: Path) -> None:
    """Nothing is split, expanded or unquoted, whatever files lie around."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    for name in ("c", "--header", "-H", "x-sheen-claims:"):
        (tmp_path / name).touch()
    script = f'PATH="{BIN}:$PATH"; printf "%s\\n" $({SIGN} --format grpcurl)'
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    flag, claims, again, signature = done.stdout.splitlines()
    assert flag == again == "-H"
    headers = dict(word.split(":", 1) for word in (claims, signature))
    Received(CREATE_MATCH, b"", headers, None).assert_signed()
    assert json.loads(headers["x-sheen-claims"])["roles"] == ["client", "admin"]


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("how", ["substitution", "stdin"])
def test_buf_curl_hands_the_headers_over_intact(server: ScriptedServer, shell: str, how: str) -> None:
    if not (BIN / "buf").exists():
        pytest.skip("buf is not installed")
    curl = (
        f"buf curl --schema {ROOT / 'protos'} --protocol grpc --http2-prior-knowledge "
        f"""-d '{{"projectId":"p"}}' http://{server.address}{CREATE_MATCH}"""
    )
    line = f"{curl} $({SIGN})" if how == "substitution" else f"{SIGN} --format lines | {curl} --header @-"
    script = f'PATH="{BIN}:$PATH"; {line}'
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    [received] = server.of(CREATE_MATCH)
    received.assert_signed()
    assert received.part("body") == "unsigned"
    claims = json.loads(str(received.metadata["x-sheen-claims"]))
    assert claims["email"].startswith("'*z oë?")
