"""Settings of the two steps: each reads its own secrets only. Used by `wiring`.

The part that names the task (`GCA_…`) is `libs.common.launching.contract`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from libs.common.settings import Common, Url

ProviderType = Literal["openai", "azure", "anthropic"]


class CloneSettings(Common):
    """What the step `clone` reads; it holds no model key."""

    gitlab_read_token: SecretStr = Field(description="Token that may read the repository.")
    allow_http_gitlab: bool = Field(
        default=False, description="Allow plain http to a GitLab that is not on loopback."
    )


class RunSettings(Common):
    """What the step `run` reads; it holds no git token.

    Either a GitHub token with Copilot access, or a provider of one's own (BYOK).
    """

    github_token: SecretStr | None = Field(
        default=None, description="GitHub token of an account with Copilot."
    )
    copilot_provider_type: ProviderType = Field(
        default="openai", description="Kind of the model provider of one's own."
    )
    copilot_provider_base_url: Url | None = Field(
        default=None, description="Address of the model provider, such as https://…/v1."
    )
    copilot_provider_api_key: SecretStr | None = Field(
        default=None, description="Key of the model provider."
    )
    copilot_model: str = Field(
        default="", description="Model to use; needed with a provider of one's own."
    )
    copilot_cli_path: Path | None = Field(
        default=None, description="The Copilot CLI; found by itself after `make setup`."
    )
    xdg_cache_home: Path | None = Field(
        default=None, description="Folder in which the Copilot CLI keeps its unpacked files."
    )

    def problems(self) -> list[str]:
        found = super().problems()
        if self.github_token is None and self.copilot_provider_base_url is None:
            found.append(
                "GITHUB_TOKEN: is not set, and neither is COPILOT_PROVIDER_BASE_URL: set one of "
                "them, so that there is a model to ask"
            )
        if self.copilot_provider_base_url is not None and not self.copilot_model:
            found.append("COPILOT_MODEL: is not set; a provider of your own needs the model's name")
        if self.copilot_cli_path is not None and not self.copilot_cli_path.is_file():
            found.append(f"COPILOT_CLI_PATH: there is no file {self.copilot_cli_path}")
        return found
