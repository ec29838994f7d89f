"""Settings from the environment, checked all at once; one class per service builds on `Common`.

Called by `libs.common.service` at start. A secret can also come from a file named by
`<NAME>_FILE`; secrets are taken out of `os.environ` once read, so that child processes and
crash reports do not inherit them.
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from libs.common.allowed import Allowed, allowed, is_group, is_project
from libs.common.errors import SettingsError

_USERNAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_Settings = TypeVar("_Settings", bound="Common")


def _commas(value: object) -> object:
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


def _no_slash(value: object) -> object:
    return value.strip().rstrip("/") if isinstance(value, str) else value


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_commas)]
"""Several values in one variable, separated by commas."""


def _is_http(value: str) -> str:
    try:
        address = urlsplit(value)
        good = address.scheme in {"http", "https"} and bool(address.hostname)
        good = good and (address.port is None or address.port > 0)
    except ValueError:
        good = False
    if not good:
        raise PydanticCustomError("url", "must be an address such as https://host.example.com")
    return value


Url = Annotated[str, BeforeValidator(_no_slash), AfterValidator(_is_http)]
"""An http or https address, kept without its last slash."""


def _is_token(value: SecretStr) -> SecretStr:
    if not all("!" <= character <= "~" for character in value.get_secret_value()):
        raise PydanticCustomError("token", "must be a token, without spaces or line ends")
    return value


def _is_long(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < SHORTEST_SECRET:
        raise PydanticCustomError("short", "needs at least 16 characters that nobody can guess")
    return value


SHORTEST_SECRET = 16
Token = Annotated[SecretStr, AfterValidator(_is_token)]
"""A token as it goes into an HTTP header."""

Secret = Annotated[SecretStr, AfterValidator(_is_long)]
"""A secret of our own making."""


class Common(BaseSettings):
    """What every service reads."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    nats_url: str = Field(default="nats://127.0.0.1:4222", description="Address of NATS.")
    nats_credentials: Path | None = Field(
        default=None,
        description="NATS login of this service: a .creds file, or the nkey seed of a user.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe log line that is written."
    )
    ca_bundle: Path | None = Field(
        default=None,
        description="PEM file with the certificate authorities to trust, for NATS, API, git and "
        "model alike: all that these need, not only your own.",
    )
    otel_exporter_otlp_endpoint: str = Field(
        default="",
        description="Collector for traces, metrics and logs: OTLP over gRPC, such as "
        "http://collector.example.com:4317.",
    )
    health_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of health, readiness and metrics; 0: the service's own default.",
    )

    health_host: str = Field(
        default="127.0.0.1",
        description="Address of the health port; probes from other machines need 0.0.0.0.",
    )

    health_default: ClassVar[int] = 0

    @field_validator("ca_bundle", "nats_credentials")
    @classmethod
    def _is_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise PydanticCustomError("no_file", "there is no file {path}", {"path": str(value)})
        return value

    @field_validator("otel_exporter_otlp_endpoint", mode="before")
    @classmethod
    def _is_address(cls, value: object) -> object:
        return _is_http(value.strip().rstrip("/")) if isinstance(value, str) and value else value

    def problems(self) -> list[str]:
        """Rules over more than one setting; a line for each that is broken.

        Whatever can be said of one setting is said by its validator, so that it is listed beside
        settings that are missing.
        """
        return []


class GitLabSettings(Common):
    """What services that speak to GitLab read."""

    allow_http_gitlab: bool = Field(
        default=False, description="Allow plain http to a GitLab that is not on loopback."
    )
    gitlab_url: Url = Field(description="Address of GitLab, such as https://gitlab.example.com.")

    @field_validator("gitlab_url")
    @classmethod
    def _is_safe(cls, value: str, found: ValidationInfo) -> str:
        address = urlsplit(value)
        if address.username or address.password:
            raise PydanticCustomError("login", "leave user and password out; set GITLAB_TOKEN")
        allowed = found.data.get("allow_http_gitlab") or address.hostname in LOOPBACK
        if address.scheme == "http" and not allowed:
            raise PydanticCustomError(
                "http",
                "plain http would show tokens on the network; use https, or set "
                "ALLOW_HTTP_GITLAB=true on a test network",
            )
        return value


class ProjectSettings(GitLabSettings):
    """What services read that decide whether a project is served."""

    gitlab_projects: CommaList = Field(
        default=(),
        description="Projects served, ids or paths by comma; with no GITLAB_GROUPS and empty: all "
        "that reach us.",
    )
    gitlab_groups: CommaList = Field(
        default=(),
        description="Groups served with all their subgroups and projects, full paths by comma.",
    )
    agent_gitlab_username: str = Field(
        default="",
        description="User name that the agent writes under; empty: that of GITLAB_READ_TOKEN.",
    )

    @field_validator("gitlab_projects")
    @classmethod
    def _are_projects(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for project in value:
            if not is_project(project):
                raise PydanticCustomError(
                    "project", "{name} is neither an id nor a full path", {"name": repr(project)}
                )
        return value

    @field_validator("gitlab_groups")
    @classmethod
    def _are_groups(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for group in value:
            if not is_group(group):
                raise PydanticCustomError(
                    "group", "{name} is not the full path of a group", {"name": repr(group)}
                )
        return value

    @field_validator("agent_gitlab_username")
    @classmethod
    def _is_username(cls, value: str) -> str:
        name = value.strip().removeprefix("@")
        if name and not _USERNAME.fullmatch(name):
            raise PydanticCustomError("username", "must be a user name of GitLab, without spaces")
        return name

    def allowed_projects(self) -> Allowed:
        return allowed(self.gitlab_projects, self.gitlab_groups)


def load(settings: type[_Settings], environ: MutableMapping[str, str] | None = None) -> _Settings:
    """Read and check `settings` from the environment and take its secrets out of it.

    Raises `SettingsError` that lists every problem, by the variable's name and without its value.
    """
    env = os.environ if environ is None else environ
    given, found = _given(settings, env)
    try:
        loaded = settings(**given, _env_file=None)  # type: ignore[call-arg]  # pydantic-settings
    except ValidationError as error:
        raise SettingsError(found + [_line(problem) for problem in error.errors()]) from None
    found += loaded.problems()
    if found:
        raise SettingsError(found)
    for name in _secret_names(settings):
        env.pop(name, None)
    return loaded


def _given(
    settings: type[Common], env: MutableMapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Values by field name from the variables and, for secrets, from the files they name."""
    given: dict[str, Any] = {}
    found: list[str] = []
    secrets = _secret_names(settings)
    for field in settings.model_fields:
        name = field.upper()
        file = env.get(f"{name}_FILE") if name in secrets else None
        if file and not env.get(name):
            try:
                given[field] = Path(file).read_text(encoding="utf-8").strip()
            except OSError as error:
                found.append(f"{name}_FILE: cannot read {file}: {error.strerror}")
        elif env.get(name):
            given[field] = env[name]
    return given, found


def _secret_names(settings: type[Common]) -> set[str]:
    return {
        name.upper()
        for name, field in settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }


def _line(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"][:1]).upper() or "settings"
    if problem["type"] == "missing":
        return f"{name}: is not set"
    text = str(problem["msg"])
    return f"{name}: {text[:1].lower()}{text[1:]}"


def reveal(secret: SecretStr | None) -> str:
    """The secret's text, or an empty string; call it only where the secret is used."""
    return secret.get_secret_value() if secret is not None else ""
