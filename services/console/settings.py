"""Defines what the console is told by its environment."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone.values.addresses import LARGEST_PORT, HttpUrl, is_loopback, named_urls, url_of


class ConsoleSettings(BaseSettings):
    """Holds the console's settings. It has neither tables nor topics, and so fewer than a service has."""

    model_config = SettingsConfigDict(env_prefix="SLICELINE_", extra="ignore")

    services: str = Field(description="Where the services are asked: orders=http://127.0.0.1:8001,… or *=http://*:8000")
    host: str = Field("127.0.0.1", min_length=1, description="The address on which pages are served")
    port: int = Field(0, ge=0, le=LARGEST_PORT, description="Where pages are served; 0: any port that is free")
    console_url: HttpUrl = Field("http://127.0.0.1:8000", description="How browsers reach the console")
    issuer: HttpUrl | None = Field(None, description="Who logs people in, as browsers reach it (OpenID Connect)")
    issuer_keys: HttpUrl | None = Field(None, description="Where the issuer tells its keys, if not where it says so")
    issuer_tokens: HttpUrl | None = Field(None, description="Where it gives tokens, if not where it says so")
    issuer_login: HttpUrl | None = Field(None, description="Where it logs people in, if not where it says so")
    identity_key_file: Path | None = Field(
        None, description="A file with the key by which the issuer knows the console; cookies are sealed by it as well"
    )
    audience: str = Field("sliceline", min_length=1, description="Whom tokens must be for: their `aud`")
    auth: Literal["on", "off"] = Field(
        "on", validate_default=True, description="off: whoever reaches the port may do everything. On loopback alone"
    )
    log_format: Literal["json", "console"] = Field("json", description="json for programs, console for people")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Of how much the log tells")

    @field_validator("services")
    @classmethod
    def _sound_services(cls, given: str) -> str:
        named_urls(given)
        return given

    @field_validator("issuer", "issuer_keys", "issuer_tokens", "issuer_login", "identity_key_file", mode="before")
    @classmethod
    def _none_when_empty(cls, given: object) -> object:
        return given or None

    @field_validator("auth")
    @classmethod
    def _closed_unless_nobody_else_comes_here(cls, given: str, told: ValidationInfo) -> str:
        has_issuer = told.data.get("issuer") is not None and told.data.get("identity_key_file") is not None
        if given == "on" and not has_issuer:
            raise ValueError("is on, so SLICELINE_ISSUER and SLICELINE_IDENTITY_KEY_FILE must say how people log in")
        if given == "off" and not is_loopback(str(told.data.get("host", ""))):
            raise ValueError("can be off only where SLICELINE_HOST is a loopback address")
        return given

    def address_of(self, service: str) -> str | None:
        """Return where a service is asked; None where nobody has said."""
        return url_of(self.services, service)
