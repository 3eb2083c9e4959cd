"""Reads what a process is told from outside, by environment variables that begin with SLICELINE_."""

import base64
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone.events.buses import longest_retention
from backbone.events.contracts import ORIGIN
from backbone.values.addresses import (
    LARGEST_PORT,
    Bootstrap,
    HttpUrl,
    ObjectsUrl,
    PostgresUrl,
    is_loopback,
    named_urls,
    url_of,
)
from backbone.values.brokers import Brokers, authorities_in
from backbone.values.currencies import is_currency
from backbone.values.networks import Networks, NetworksAndHosts
from backbone.values.passwords import password_in
from backbone.values.sealed import KEY_BYTES
from backbone.values.verified import verified

# As browsers serialise it (RFC 6454 6.2): in lower case, and the usual port of http and https left out.
_ORIGIN = re.compile(
    r"(?!http://.*:80$)(?!https://.*:443$)[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"
)

SEGMENT = timedelta(days=7)
"""How long Kafka goes on with a segment of a log (segment.ms): only whole ones are deleted, by their newest event."""
LONGEST = timedelta(days=366)
Seconds = Annotated[float, Field(gt=0, le=LONGEST.total_seconds(), allow_inf_nan=False)]
"""A span of time that ends: more than none, at most a year."""
Port = Annotated[int, Field(ge=1, le=LARGEST_PORT)]
PerSecond = Annotated[float, Field(ge=0.001, le=1_000_000, allow_inf_nan=False)]

ROLES = ("api", "relay", "consumers", "jobs")


class Settings(BaseSettings):
    """Holds the settings common to all services; a service with more to be told subclasses it."""

    model_config = SettingsConfigDict(env_prefix="SLICELINE_", extra="ignore")

    database_url: PostgresUrl = Field(
        description="The service's own database: postgresql://role:password@host:port/name"
    )
    database_password_file: Path | None = Field(
        None, description="A file that holds the role's password instead; it is read for each connection"
    )
    database_ca_file: Path | None = Field(
        None,
        description="A file with the certificates of the authorities that vouch for Postgres: it is asked over TLS "
        "alone, by the name in its address. None: as the address says (sslmode)",
    )
    kafka: Bootstrap = Field("127.0.0.1:19092", description="Bootstrap servers, host:port[,host:port]")
    kafka_user: str | None = Field(
        None, max_length=255, description="As whom the service comes to Kafka, where that is not its own name"
    )
    kafka_password_file: Path | None = Field(
        None, description="A file that holds the password of this user. None: connections to Kafka are plain"
    )
    kafka_ca_file: Path | None = Field(
        None,
        validate_default=True,
        description="A file with the certificates of the authorities that vouch for Kafka's servers",
    )
    schemas_url: HttpUrl = Field(
        ORIGIN, description="Where schemas are served: with it begins the dataschema of events. This one never resolves"
    )
    objects: ObjectsUrl | None = Field(
        None,
        description="Where the data of events over 64 KiB is kept, for all services alike: file:///folder, or "
        "s3://bucket/prefix?endpoint=https://host:port&region=name. None: such an event is set aside",
    )
    services: str = Field(
        "",
        description="Where others are asked: orders=http://127.0.0.1:8001,…; *=http://*:8000 is each at a host of its "
        "name; without it nobody is asked",
    )
    master_key: SecretStr | None = Field(
        None,
        description="What people's data keys are wrapped with: 32 bytes in base64; a second one, after a space, only "
        "unwraps. Without one, and without a file, nothing is sealed",
    )
    master_key_file: Path | None = Field(None, description="A file that holds the master key, or both, instead")
    issuer: HttpUrl | None = Field(
        None,
        description="Who signs the tokens that let people and services in, as they name it in `iss` (OpenID Connect)",
    )
    issuer_keys: HttpUrl | None = Field(
        None, description="Where the issuer tells its keys, where that is not what its discovery document says"
    )
    issuer_tokens: HttpUrl | None = Field(
        None, description="Where the issuer gives tokens to services, where discovery does not say so either"
    )
    identity_key_file: Path | None = Field(
        None, description="A file with the key by which the issuer knows this service, EC P-256 in PEM or as a JWK"
    )
    audience: str = Field("sliceline", min_length=1, description="Whom tokens must be for: their `aud`")
    host: str = Field("127.0.0.1", min_length=1, description="The address on which HTTP is served")
    auth: Literal["on", "off"] = Field(
        "on",
        validate_default=True,
        description="off: whoever reaches the port may do everything, without a token. On a loopback address alone",
    )
    port: int = Field(0, ge=0, le=LARGEST_PORT, description="Where HTTP is served; 0: any that is free")
    roles: str = Field(",".join(ROLES), description="Which parts this process runs")
    currency: str = Field("GBP", description="What prices are in, by its code in ISO 4217")
    log_format: Literal["json", "console"] = Field("json", description="json for programs, console for people")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG tells of each event that was handled; INFO, WARNING and ERROR of less and less"
    )
    pool_size: int = Field(12, ge=7, le=1000, description="Database connections of this process")
    requests_in_flight: int = Field(2000, ge=1, le=1_000_000, description="More at once are answered 429")
    cors_origins: str = Field(
        "",
        description="Origins whose pages may use the API from a browser, http://localhost:5173,…; * is every origin",
    )
    streams: int = Field(2000, ge=1, le=1_000_000, description="Event streams at once; more are answered 429")
    client_rate: PerSecond = Field(
        200.0, description="Requests a second of one client, by its address, to a process; more are answered 429"
    )
    client_burst: int = Field(1000, ge=1, le=1_000_000, description="Requests of one client at once, after a pause")
    principal_rate: PerSecond = Field(
        50.0, description="Requests a second of one principal (`sub`) to a process; more are answered 429"
    )
    principal_burst: int = Field(
        500, ge=1, le=1_000_000, description="Requests of one principal at once, after a pause"
    )
    principal_streams: int = Field(
        20, ge=1, le=1_000_000, description="Event streams at once of one principal, or of one client without a token"
    )
    trusted_proxies: NetworksAndHosts = Field(
        "",
        description="Proxies that are believed who a client is (X-Forwarded-For): front,10.1.0.0/16. A name is looked "
        "up again and again. None: whoever is connected is the client",
    )
    unlimited_networks: Networks = Field(
        "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
        description="Networks within: clients that come from there by no trusted proxy have no rate, and principals "
        "none where they act for the shop",
    )
    stuck_after_seconds: Seconds = Field(60.0, description="A part that makes no progress so long ends the process")
    idempotency_days: int = Field(
        2, ge=1, le=3660, description="How long the answers under an Idempotency-Key are kept"
    )
    edit_dead_letters: bool = Field(False, description="Lets operators put edited copies in the place of parked events")
    publish_samples: bool = Field(False, description="Lets operators publish events that they have written by hand")
    letter_days: int = Field(
        30,
        le=3660,
        description="How long discarded events and reports of redrives are kept; topics keep shorter",
    )
    replay_days: int = Field(
        30, ge=0, le=3660, description="How old an event may be for a replay to tell surely whether it was applied"
    )
    inbox_days: int = Field(
        70, le=3660, description="How long deliveries are remembered: for all that may bring an event again, together"
    )
    object_days: int = Field(21, le=3660, description="How long data that does not travel in a topic is kept")
    otlp_endpoint: HttpUrl | None = Field(
        None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT", description="Where spans go; none: they are not exported"
    )

    @field_validator("roles")
    @classmethod
    def _known_roles(cls, given: str) -> str:
        unknown = set(given.split(",")) - set(ROLES)
        if unknown:
            raise ValueError(f"unknown role {', '.join(sorted(unknown))}; there are {', '.join(ROLES)}")
        return given

    @field_validator("services")
    @classmethod
    def _sound_services(cls, given: str) -> str:
        named_urls(given)
        return given

    @field_validator("database_password_file", "kafka_password_file")
    @classmethod
    def _password_in_file(cls, given: Path | None) -> Path | None:
        if given is not None:
            password_in(_content(given))
        return given

    @field_validator("kafka_ca_file")
    @classmethod
    def _told_with_its_password(cls, given: Path | None, info: ValidationInfo) -> Path | None:
        """Refuse one without the other: a password travels neither in the clear nor to somebody else."""
        if "kafka_password_file" in info.data and (info.data["kafka_password_file"] is None) != (given is None):
            raise ValueError("belongs to SLICELINE_KAFKA_PASSWORD_FILE: tell both of them, or neither")
        return given

    @field_validator("kafka_ca_file", "database_ca_file")
    @classmethod
    def _authorities_in_file(cls, given: Path | None) -> Path | None:
        if given is not None:
            authorities_in(_content(given))
        return given

    @field_validator("master_key")
    @classmethod
    def _whole_key(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None:
            _keys_in(given.get_secret_value())
        return given

    @field_validator("master_key_file")
    @classmethod
    def _key_in_file(cls, given: Path | None) -> Path | None:
        if given is not None:
            _keys_in(_content(given))
        return given

    @field_validator("letter_days")
    @classmethod
    def _longer_than_topics(cls, given: int) -> int:
        longest = longest_retention().days
        if given <= longest:
            raise ValueError(
                f"must be more than {longest}: topics keep events for {longest} days (buses.toml), and what was "
                "discarded and is read again would be parked once more"
            )
        return given

    @field_validator("inbox_days")
    @classmethod
    def _outlasting(cls, given: int, info: ValidationInfo) -> int:
        """Refuse an inbox that forgets an event before the last way by which it may come again."""
        topics, known = longest_retention().days, info.data
        if not {"letter_days", "replay_days"} <= known.keys():  # refused themselves
            return given
        letters, replays = known["letter_days"], known["replay_days"]
        if given <= (most := topics + letters + replays):
            raise ValueError(
                f"must be more than {most}: topics keep events for {topics} days (buses.toml), discarded ones may be "
                f"restored for {letters} (SLICELINE_LETTER_DAYS), old ones replayed for {replays} "
                "(SLICELINE_REPLAY_DAYS), and what comes again after its delivery was forgotten would be handled "
                "twice. Raise it, or lower one of those"
            )
        return given

    @field_validator("object_days")
    @classmethod
    def _longer_than_events_that_name_them(cls, given: int) -> int:
        """Refuse to purge data while an event that names it may be read; whoever has read it has the data himself."""
        topics = longest_retention().days
        if given <= (most := topics + SEGMENT.days):
            raise ValueError(
                f"must be more than {most}: topics keep events for {topics} days (buses.toml) and {SEGMENT.days} until "
                "Kafka deletes them, and one whose data is gone before could not be handled"
            )
        return given

    @field_validator(
        "database_password_file",
        "database_ca_file",
        "kafka_user",
        "kafka_password_file",
        "kafka_ca_file",
        "objects",
        "master_key",
        "master_key_file",
        "issuer",
        "issuer_keys",
        "issuer_tokens",
        "identity_key_file",
        "otlp_endpoint",
        mode="before",
    )
    @classmethod
    def _none_when_empty(cls, given: object) -> object:
        return given or None

    @field_validator("auth")
    @classmethod
    def _closed_unless_nobody_else_comes_here(cls, given: str, told: ValidationInfo) -> str:
        """Refuse to let everybody in by mistake: an open door is said aloud, and where only this machine passes it."""
        issuer, host = told.data.get("issuer"), told.data.get("host", "")
        if given == "on" and issuer is None and "issuer" in told.data:
            raise ValueError("is on, so SLICELINE_ISSUER must say who signs the tokens that let people and services in")
        if given == "off" and issuer is not None:
            raise ValueError("is off, so nobody is asked for a token: leave out SLICELINE_ISSUER, or this")
        if given == "off" and not is_loopback(host):
            raise ValueError(f"can be off only where SLICELINE_HOST is a loopback address, not at {host}")
        return given

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, given: str) -> str:
        if not is_currency(given):
            raise ValueError(f"{given!r} is no currency that ISO 4217 lists with a minor unit, like GBP, EUR or JPY")
        return given

    @field_validator("cors_origins")
    @classmethod
    def _sound_origins(cls, given: str) -> str:
        for origin in _listed(given):
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin} is no origin: write it as browsers do, scheme, host and port unless it is the usual one,"
                    " like http://localhost:5173, without a slash at the end"
                )
        return given

    @property
    def database_address(self) -> str:
        """The address of the database, with by whom its server has to be known."""
        return verified(self.database_url, self.database_ca_file)

    def brokers(self, service: str) -> Brokers:
        """Return Kafka as the service comes there."""
        return Brokers(self.kafka, self.kafka_user or service, self.kafka_password_file, self.kafka_ca_file)

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins whose pages may use the API."""
        return _listed(self.cors_origins)

    @property
    def masters(self) -> tuple[bytes, ...]:
        """The master keys, as they are read now; new data keys are wrapped with the first. None where there is none.

        Raises ValueError for a file that cannot be read, or holds none.
        """
        if self.master_key is not None:
            return _keys_in(self.master_key.get_secret_value())
        return _keys_in(_content(self.master_key_file)) if self.master_key_file else ()

    def address_of(self, service: str) -> str | None:
        """Return where another service is asked; None where nobody has said."""
        return url_of(self.services, service)

    def has_role(self, role: str) -> bool:
        """Tell whether this process runs the given part."""
        return role in self.roles.split(",")


def _listed(given: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in given.split(",") if each.strip())


def _keys_in(text: str) -> tuple[bytes, ...]:
    """Read master keys, one or, while one takes the other's place, two; between them is a space, or a new line."""
    return tuple(map(_key_in, text.split() or [""]))


def _key_in(text: str) -> bytes:
    """Read a master key; what is wrong with one is said without showing it. Raises ValueError."""
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:  # a character or a length that base64 has not
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"must be {KEY_BYTES} bytes in base64, as `openssl rand -base64 32` prints them")
    return key


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"names a file that cannot be read ({type(error).__name__}): {path}") from None
