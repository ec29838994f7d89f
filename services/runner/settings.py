"""Settings of the two steps: each reads its own secrets only. Used by `wiring`.

The part that names the task (`GCA_…`) is `libs.common.launching.contract`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from libs.common.settings import Common, Token, Url

ProviderType = Literal["openai", "azure", "anthropic"]


class CloneSettings(Common):
    """What the step `clone` reads; it holds no model key."""

    gitlab_read_token: Token = Field(description="Token that may read the repository.")
    allow_http_gitlab: bool = Field(
        default=False, description="Allow plain http to a GitLab that is not on loopback."
    )


class RunSettings(Common):
    """What the step `run` reads; it holds no git token.

    Either a GitHub token with Copilot access, or a provider of one's own (BYOK).
    """

    github_token: Token | None = Field(
        default=None, description="GitHub token of an account with Copilot."
    )
    copilot_provider_type: ProviderType = Field(
        default="openai", description="Kind of the model provider of one's own."
    )
    copilot_provider_base_url: Url | None = Field(
        default=None,
        validate_default=True,
        description="Address of the model provider, such as https://…/v1.",
    )
    copilot_provider_api_key: Token | None = Field(
        default=None, description="Key of the model provider."
    )
    copilot_model: str = Field(
        default="",
        validate_default=True,
        description="Model to use; needed with a provider of one's own.",
    )
    copilot_cli_path: Path | None = Field(
        default=None, description="The Copilot CLI; found by itself after `make setup`."
    )
    allow_repository_mcp_servers: bool = Field(
        default=False,
        description="Start the MCP servers that a repository's target branch asks for.",
    )
    allow_unsandboxed_coding: bool = Field(
        default=False,
        description="Let coding sessions, which have a shell, run without bubblewrap's wall.",
    )
    xdg_cache_home: Path | None = Field(
        default=None,
        description="Folder of caches, ~/.cache when not set: the Copilot CLI and what it unpacks.",
    )

    @field_validator("copilot_provider_base_url")
    @classmethod
    def _is_someone_to_ask(cls, value: str | None, found: ValidationInfo) -> str | None:
        if value is None and found.data.get("github_token", "wrong") is None:
            raise PydanticCustomError(
                "nobody",
                "is not set, and neither is GITHUB_TOKEN: set one of them, so that there is a "
                "model to ask",
            )
        return value

    @field_validator("copilot_model")
    @classmethod
    def _is_named(cls, value: str, found: ValidationInfo) -> str:
        if not value and found.data.get("copilot_provider_base_url"):
            raise PydanticCustomError(
                "no_model", "is not set; a provider of your own needs the model's name"
            )
        return value

    @field_validator("copilot_cli_path")
    @classmethod
    def _is_there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise PydanticCustomError("no_file", "there is no file {path}", {"path": str(value)})
        return value
