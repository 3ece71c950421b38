"""Settings come from the environment; a bad one is told in one line that keeps every secret."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from matching_server import config
from matching_server.config import Settings, SettingsError
from matching_server.domain.model import ScoringWeights
from matching_server.operations.policy import Policy

SECRET = "s3cret-of-nobody"
URL = f"postgresql+psycopg://matching:{SECRET}@db.example/matching"
FLAG = "ADVISOR_AUTO_PROVISION"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing set but the secrets."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"MATCHING_{name.upper()}", raising=False)
    monkeypatch.delenv(FLAG, raising=False)
    monkeypatch.setenv("MATCHING_DATABASE_URL", URL)
    monkeypatch.setenv("MATCHING_REDIS_URL", f"redis://:{SECRET}@cache.example")
    return monkeypatch


def refusal() -> str:
    with pytest.raises(SettingsError) as refused:
        config.load()
    assert SECRET not in repr(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    return str(refused.value)


def test_nothing_set_gives_the_documented_defaults() -> None:
    settings = config.load()
    assert settings.policy() == Policy()
    assert settings.listen == "127.0.0.1:50051"
    assert (settings.rpc_threads, settings.database_pool, settings.provision_workers) == (32, 8, 4)
    assert (settings.heartbeat_seconds, settings.sweep_seconds, settings.drain_seconds) == (15, 5, 20)
    assert (settings.log_format, settings.log_level) == ("json", "info")
    assert settings.auto_provision is False
    assert settings.reflection_on


def test_the_policy_is_what_was_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MATCHING_WEIGHT_SKILLS", "0.5")
    environment.setenv("MATCHING_DECLINE_COOLDOWN_HOURS", "0")
    environment.setenv("MATCHING_PROVISION_MAX_ATTEMPTS", "5")
    environment.setenv("MATCHING_PROVISION_BACKOFF_SECONDS", "0.25")
    environment.setenv("MATCHING_PROVISION_LEASE_SECONDS", "7")
    environment.setenv("MATCHING_EVENT_RETENTION_DAYS", "1.5")
    environment.setenv("MATCHING_NOTIFY_BACKOFF_SECONDS", "0.5")
    environment.setenv("MATCHING_NOTIFY_LEASE_SECONDS", "20")
    environment.setenv(FLAG, "1")
    assert config.load().policy() == Policy(
        auto_provision=True,
        weights=ScoringWeights(40, 0.5, 15, 10),
        decline_cooldown=timedelta(0),
        provision_max_attempts=5,
        provision_backoff=timedelta(milliseconds=250),
        provision_lease=timedelta(seconds=7),
        event_retention=timedelta(hours=36),
        notify_backoff=timedelta(milliseconds=500),
        notify_lease=timedelta(seconds=20),
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MATCHING_LISTEN", "50051"),
        ("MATCHING_LISTEN", "localhost"),
        ("MATCHING_LISTEN", ":50051"),
        ("MATCHING_LISTEN", "localhost:65536"),
        ("MATCHING_LISTEN", "localhost:-1"),
        ("MATCHING_LISTEN", "localhost:grpc"),
        ("MATCHING_ALLOW_PLAINTEXT", "perhaps"),
        ("MATCHING_REFLECTION", "2"),
        ("MATCHING_LOG_FORMAT", "xml"),
        ("MATCHING_LOG_LEVEL", "loud"),
        ("MATCHING_RPC_THREADS", "many"),
        ("MATCHING_RPC_THREADS", "1"),
        ("MATCHING_RPC_THREADS", "2.5"),
        ("MATCHING_DATABASE_POOL", "0"),
        ("MATCHING_PROVISION_WORKERS", "65"),
        ("MATCHING_PROVISION_MAX_ATTEMPTS", "0"),
        ("MATCHING_PROVISION_BACKOFF_SECONDS", "-1"),
        ("MATCHING_PROVISION_LEASE_SECONDS", "0"),
        ("MATCHING_HEARTBEAT_SECONDS", "inf"),
        ("MATCHING_SWEEP_SECONDS", "nan"),
        ("MATCHING_WEIGHT_SKILLS", "-0.1"),
        ("MATCHING_WEIGHT_TIMEZONE", "nan"),
        ("MATCHING_DECLINE_COOLDOWN_HOURS", "1e9"),
        ("MATCHING_EVENT_RETENTION_DAYS", "0"),
        ("MATCHING_DRAIN_SECONDS", ""),
        ("MATCHING_NOTIFY_WEBHOOK_URL", ""),
        ("MATCHING_NOTIFY_WEBHOOK_URL", "hooks.example/notify"),
        ("MATCHING_NOTIFY_WEBHOOK_URL", "ftp://hooks.example"),
        ("MATCHING_NOTIFY_WEBHOOK_URL", "https://"),
        ("MATCHING_NOTIFY_WEBHOOK_URL", f"https://hooks.example:{SECRET}"),
        ("MATCHING_NOTIFY_WEBHOOK_SECRET", ""),
        ("MATCHING_NOTIFY_WEBHOOK_SECRET", SECRET),
        ("MATCHING_NOTIFY_WEBHOOK_SECRET", "A" * 32),
        ("MATCHING_NOTIFY_WEBHOOK_SECRET", "whsec_" + "A" * 31),
        ("MATCHING_NOTIFY_WEBHOOK_SECRET", "whsec_" + "ä" * 32),
        ("MATCHING_NOTIFY_SMTP_URL", "mail.example"),
        ("MATCHING_NOTIFY_SMTP_URL", "https://mail.example"),
        ("MATCHING_NOTIFY_SMTP_URL", f"smtp://ada:{SECRET}@"),
        ("MATCHING_NOTIFY_SMTP_URL", f"smtp://{SECRET}@mail.example"),
        ("MATCHING_NOTIFY_SMTP_URL", f"smtp://mail.example:{SECRET}"),
        ("MATCHING_NOTIFY_SMTP_URL", f"smtp://mail.example/{SECRET}"),
        ("MATCHING_NOTIFY_SMTP_URL", f"smtp://[{SECRET}"),
        ("MATCHING_NOTIFY_FROM", "somebody"),
        ("MATCHING_NOTIFY_FROM", "Some Body <a@b.example>"),
        ("MATCHING_NOTIFY_FROM", "a@b.example\nBcc: c@d.example"),
        ("MATCHING_NOTIFY_TIMEOUT_SECONDS", "61"),
        ("MATCHING_NOTIFY_BACKOFF_SECONDS", "0"),
        ("MATCHING_NOTIFY_LEASE_SECONDS", "inf"),
        # A secret in the wrong place is not repeated either.
        ("MATCHING_LISTEN", URL),
        ("MATCHING_LOG_LEVEL", SECRET),
        ("MATCHING_RPC_THREADS", SECRET),
        (FLAG, SECRET),
        (FLAG, "yes"),
        (FLAG, "TRUE"),
        (FLAG, ""),
    ],
)
def test_a_bad_value_is_told_in_one_line_with_its_variable(
    environment: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    environment.setenv(variable, value)
    said = refusal()
    assert said.startswith(f"{variable}: ")
    assert "\n" not in said
    assert "pydantic" not in said.lower()


def test_every_bad_value_is_told(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MATCHING_RPC_THREADS", "0")
    environment.setenv("MATCHING_LOG_LEVEL", "loud")
    said = refusal()
    assert "MATCHING_RPC_THREADS: " in said
    assert "MATCHING_LOG_LEVEL: " in said


@pytest.mark.parametrize(("word", "on"), [("true", True), ("1", True), ("false", False), ("0", False)])
def test_the_flag_takes_the_four_words_of_the_platform(
    environment: pytest.MonkeyPatch, word: str, on: bool
) -> None:
    environment.setenv(FLAG, word)
    assert config.load().policy().auto_provision is on


def test_weights_that_weigh_nothing_are_refused(environment: pytest.MonkeyPatch) -> None:
    for feature in ("AVAILABILITY", "SKILLS", "TIMEZONE", "PREFERENCE"):
        environment.setenv(f"MATCHING_WEIGHT_{feature}", "0")
    assert "weights" in refusal()


LOOPBACK = ("127.0.0.1:0", "127.8.9.10:50051", "localhost:50051", "[::1]:50051")
BEYOND = ("0.0.0.0:50051", "[::]:50051", "10.0.0.1:50051", "matching.example:443", "127.example.com:443")


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_needs_no_tls(environment: pytest.MonkeyPatch, address: str) -> None:
    environment.setenv("MATCHING_LISTEN", address)
    assert config.load().reflection_on


@pytest.mark.parametrize("address", BEYOND)
def test_beyond_loopback_tls_is_demanded_unless_plaintext_is_asked_for(
    environment: pytest.MonkeyPatch, address: str
) -> None:
    environment.setenv("MATCHING_LISTEN", address)
    said = refusal()
    assert "listen" in said
    assert "\n" not in said
    environment.setenv("MATCHING_ALLOW_PLAINTEXT", "true")
    assert not config.load().reflection_on
    environment.delenv("MATCHING_ALLOW_PLAINTEXT")
    environment.setenv("MATCHING_TLS_CERT", "server.pem")
    environment.setenv("MATCHING_TLS_KEY", "server.key")
    assert config.load().tls_cert == Path("server.pem")


@pytest.mark.parametrize("alone", ["TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA"])
def test_tls_is_set_as_a_whole(environment: pytest.MonkeyPatch, alone: str) -> None:
    environment.setenv(f"MATCHING_{alone}", "some.pem")
    assert alone.lower() in refusal()


WEBHOOK = {"NOTIFY_WEBHOOK_URL": "https://hooks.example/a?b=c", "NOTIFY_WEBHOOK_SECRET": "whsec_" + "A" * 32}
MAIL = {"NOTIFY_SMTP_URL": f"smtp://ada:{SECRET}@mail.example", "NOTIFY_FROM": "matching@service.example"}


@pytest.mark.parametrize("sink", [WEBHOOK, MAIL], ids=["webhook", "mail"])
def test_a_sink_is_set_as_a_whole(environment: pytest.MonkeyPatch, sink: dict[str, str]) -> None:
    for name, value in sink.items():
        environment.setenv(f"MATCHING_{name}", value)
    config.load()
    for name, value in sink.items():
        environment.delenv(f"MATCHING_{name}")
        said = refusal()
        assert all(part.lower() in said for part in sink)
        assert "\n" not in said
        environment.setenv(f"MATCHING_{name}", value)


def test_what_sinks_are_told_in_secret_is_not_shown(environment: pytest.MonkeyPatch) -> None:
    for name, value in (WEBHOOK | MAIL).items():
        environment.setenv(f"MATCHING_{name}", value)
    environment.setenv("MATCHING_NOTIFY_WEBHOOK_URL", f"https://hooks.example/{SECRET}")
    shown = f"{config.load()!r}"
    assert SECRET not in shown
    assert WEBHOOK["NOTIFY_WEBHOOK_SECRET"] not in shown


def test_a_lease_is_longer_than_what_two_sinks_may_take(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MATCHING_NOTIFY_TIMEOUT_SECONDS", "10")
    assert config.load().notify_lease_seconds == 30
    environment.setenv("MATCHING_NOTIFY_TIMEOUT_SECONDS", "10.1")
    assert "notify_lease_seconds" in refusal()


def test_reflection_can_be_set_either_way(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MATCHING_REFLECTION", "false")
    assert not config.load().reflection_on
    environment.setenv("MATCHING_REFLECTION", "true")
    environment.setenv("MATCHING_LISTEN", "0.0.0.0:0")
    environment.setenv("MATCHING_ALLOW_PLAINTEXT", "true")
    assert config.load().reflection_on


def test_what_is_given_beats_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MATCHING_LISTEN", "localhost:1")
    assert config.load(listen="localhost:2").listen == "localhost:2"
    assert config.load(listen=None).listen == "localhost:1"


def test_secrets_are_not_shown() -> None:
    settings = config.load()
    assert SECRET not in f"{settings!r} {settings}"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == URL


def test_a_setting_may_be_a_file_and_the_environment_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATCHING_SECRETS_DIR", str(tmp_path))
    monkeypatch.delenv("MATCHING_REDIS_URL", raising=False)
    (tmp_path / "MATCHING_REDIS_URL").write_text("redis://from.a.file\n")
    (tmp_path / "MATCHING_LOG_LEVEL").write_text("error")
    monkeypatch.setenv("MATCHING_LOG_LEVEL", "debug")
    settings = config.load()
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://from.a.file"
    assert settings.log_level == "debug"


def test_a_directory_of_secrets_has_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCHING_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="MATCHING_SECRETS_DIR: is not a directory"):
        config.load()
