"""The settings: from the environment, checked once, with one clear line for each that is wrong."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from matching_server.domain.model import ScoringWeights
from matching_server.operations.policy import Policy
from matching_server.workers.sinks.addresses import Relay, checked_secret, checked_url, is_address

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
_CHECKS: dict[str, Callable[[str], object]] = {
    "notify_webhook_url": checked_url,
    "notify_webhook_secret": checked_secret,
    "notify_smtp_url": Relay.of,
}
Weight = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


_DIRECTORY_VARIABLE = "MATCHING_SECRETS_DIR"


class SettingsError(Exception):
    """A setting is missing or wrong; one line a setting."""


class Settings(BaseSettings):
    """Everything that an operator can set. Each is read from ``MATCHING_`` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="MATCHING_", extra="ignore", hide_input_in_errors=True)

    listen: str = Field(
        "127.0.0.1:50051", description="Address and port to serve on; port 0 takes a free one."
    )
    database_url: SecretStr | None = Field(None, description="SQLAlchemy URL, postgresql+psycopg://…")
    migrate_url: SecretStr | None = Field(
        None,
        description="The same for `migrate` alone: past a pooler, or as a role that may change the schema.",
    )
    redis_url: SecretStr | None = Field(
        None, description="redis[s]://…, unix://…, or redis[s]+sentinel://…host:port,…/service[/db]."
    )
    hmac_keys_file: Path | None = Field(
        None, description="JSON file of the signing keys, read again when it changes."
    )
    tls_cert: Path | None = Field(
        None, description="PEM certificate chain of the server; it, too, and the next two are read again."
    )
    tls_key: Path | None = Field(None, description="PEM key of the certificate.")
    tls_client_ca: Path | None = Field(
        None, description="PEM of the authorities whose clients alone are let in."
    )
    allow_plaintext: bool = Field(False, description="Serve without TLS beyond loopback.")
    reflection: bool | None = Field(None, description="Serve reflection; unset: on loopback only.")
    metrics_listen: str | None = Field(
        None,
        description="Address and port of GET /metrics, /livez and /readyz, in plain HTTP; unset: nowhere.",
    )
    log_format: Literal["console", "json"] = Field("json", description="How log lines are written.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is logged."
    )
    otel: bool | None = Field(
        None, description="Send traces, with the extra otel; unset: where OTEL_EXPORTER_OTLP_ENDPOINT is set."
    )
    rpc_threads: int = Field(
        32, ge=2, le=512, description="Calls that are worked on at once; others wait for their turn."
    )
    database_pool: int = Field(8, ge=1, le=200, description="Connections for calls.")
    provision_workers: int = Field(4, ge=1, le=64, description="Threads of the provisioning pool.")
    provision_max_attempts: int = Field(3, ge=1, le=20, description="Attempts before a rollback.")
    provision_backoff_seconds: Seconds = Field(
        2.0, description="Bound before the second attempt, then doubled."
    )
    provision_lease_seconds: Seconds = Field(60.0, description="How long a worker holds a job.")
    streams_per_user: int = Field(
        3, ge=1, le=10_000, description="Event streams that a user may have open, on all servers together."
    )
    max_streams: int = Field(
        10_000, ge=1, le=100_000, description="Event streams that a server takes before it refuses more."
    )
    calls_per_user: int = Field(
        1_000, ge=1, description="Calls that a client or advisor may make in 10 s, on all servers together."
    )
    heartbeat_seconds: Seconds = Field(15.0, description="Silence on a stream before a heartbeat.")
    sweep_seconds: Seconds = Field(5.0, description="Between two sweeps for what has expired.")
    weight_availability: Weight = Field(40.0, description="Weight of free slots.")
    weight_skills: Weight = Field(35.0, description="Weight of matching technologies.")
    weight_timezone: Weight = Field(15.0, description="Weight of common working hours.")
    weight_preference: Weight = Field(10.0, description="Weight of the advisor's preferences.")
    decline_cooldown_hours: float = Field(
        168.0, ge=0, le=87_600, allow_inf_nan=False, description="Before a declined advisor is offered again."
    )
    event_retention_days: float = Field(
        30.0, gt=0, le=3_650, allow_inf_nan=False, description="Age of events kept."
    )
    notify_webhook_url: SecretStr | None = Field(
        None, description="Where notifications are posted to, in the Standard Webhooks format."
    )
    notify_webhook_secret: SecretStr | None = Field(
        None, description="What they are signed with, whsec_… with the URL."
    )
    notify_smtp_url: SecretStr | None = Field(
        None, description="Mail relay for notifications, smtp[s]://[user:password@]host[:port]."
    )
    notify_from: str | None = Field(None, description="Address that the mail comes from, with the relay.")
    notify_timeout_seconds: float = Field(
        5.0, gt=0, le=60, allow_inf_nan=False, description="How long a sink may take for a notification."
    )
    notify_backoff_seconds: Seconds = Field(
        5.0, description="Bound before the second attempt to notify, then doubled."
    )
    notify_lease_seconds: Seconds = Field(
        30.0, description="How long a dispatcher holds a notification; three time limits at least."
    )
    secrets_dir: Path | None = Field(
        None,
        description="Directory with a file, named as its variable, for each setting that the environment lacks.",
    )
    drain_seconds: Seconds = Field(20.0, description="How long a shutdown may take.")
    auto_provision: bool = Field(
        False,
        validation_alias=AliasChoices("ADVISOR_AUTO_PROVISION"),
        description="Make workspaces of finalized matches (variable ADVISOR_AUTO_PROVISION).",
    )

    @field_validator("auto_provision", mode="before")
    @classmethod
    def _flag(cls, value: object) -> object:
        """Exactly the words that the platform uses."""
        if value in (True, False) or value in ("true", "1", "false", "0"):
            return value
        raise ValueError("must be true, 1, false or 0")

    @field_validator("listen", "metrics_listen")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        host, colon, port = value.rpartition(":")
        if not (colon and host and port.isdecimal() and int(port) < 65_536):
            raise ValueError("must be host:port")
        return value

    @field_validator("notify_webhook_url", "notify_webhook_secret", "notify_smtp_url")
    @classmethod
    def _sink(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None:
            assert info.field_name is not None
            _CHECKS[info.field_name](value.get_secret_value())
        return value

    @field_validator("notify_from")
    @classmethod
    def _mailbox(cls, value: str | None) -> str | None:
        if value is not None and not (value.isascii() and is_address(value)):
            raise ValueError("must be an e-mail address")
        return value

    @model_validator(mode="after")
    def _together(self) -> Settings:
        if self.weights == ScoringWeights(0, 0, 0, 0):
            raise ValueError("the four weights must not all be 0")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        if not (self.is_loopback or self.tls_cert or self.allow_plaintext):
            raise ValueError("listen is beyond loopback: set tls_cert and tls_key, or allow_plaintext")
        if (self.notify_webhook_url is None) != (self.notify_webhook_secret is None):
            raise ValueError("notify_webhook_url and notify_webhook_secret go together")
        if (self.notify_smtp_url is None) != (self.notify_from is None):
            raise ValueError("notify_smtp_url and notify_from go together")
        if self.notify_lease_seconds < 3 * self.notify_timeout_seconds:
            raise ValueError("notify_lease_seconds must be at least three times notify_timeout_seconds")
        return self

    @property
    def weights(self) -> ScoringWeights:
        """The weights of a request that gives none."""
        return ScoringWeights(
            self.weight_availability, self.weight_skills, self.weight_timezone, self.weight_preference
        )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        host = self.listen.rpartition(":")[0].removeprefix("[").removesuffix("]")
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def reflection_on(self) -> bool:
        """Whether reflection is served."""
        return self.is_loopback if self.reflection is None else self.reflection

    def policy(self) -> Policy:
        """What the use cases decide by."""
        return Policy(
            auto_provision=self.auto_provision,
            weights=self.weights,
            decline_cooldown=timedelta(hours=self.decline_cooldown_hours),
            provision_max_attempts=self.provision_max_attempts,
            provision_backoff=timedelta(seconds=self.provision_backoff_seconds),
            provision_lease=timedelta(seconds=self.provision_lease_seconds),
            event_retention=timedelta(days=self.event_retention_days),
            sweep=timedelta(seconds=self.sweep_seconds),
            notify_backoff=timedelta(seconds=self.notify_backoff_seconds),
            notify_lease=timedelta(seconds=self.notify_lease_seconds),
            streams_per_user=self.streams_per_user,
        )


def load(**overrides: object) -> Settings:
    """The settings from the environment, those given here taking precedence.

    Raises:
        SettingsError: with a line for each setting that is wrong, and no value in it.
    """
    secrets_dir = os.environ.get(_DIRECTORY_VARIABLE)
    if secrets_dir is not None and not Path(secrets_dir).is_dir():
        raise SettingsError(f"{_DIRECTORY_VARIABLE}: is not a directory")
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        # Each value is checked by its field, which is what a type checker would have to know here.
        return Settings(_secrets_dir=secrets_dir, **given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError("; ".join(_line(dict(fault)) for fault in error.errors())) from None


def _line(fault: dict[str, object]) -> str:
    location = fault["loc"]
    message = str(fault["msg"]).removeprefix("Value error, ")
    if not isinstance(location, tuple) or not location:
        return message
    name = str(location[0])
    return f"{name if name.isupper() else 'MATCHING_' + name.upper()}: {message}"
