"""Settings of the reviewer; read by `__main__`, turned into adapters by `wiring`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from libs.common.events.tasks import Limits
from libs.common.launching import contract
from libs.common.settings import GitLabSettings, Url, reveal


class Settings(GitLabSettings):
    """What the reviewer reads; the model's settings are for the Jobs that it launches."""

    gitlab_read_token: SecretStr = Field(
        description="Token with read_api and read_repository; clones and reads, never writes."
    )
    task_door_secret: SecretStr = Field(
        description="Secret that task tokens are made with; the same as ingest's."
    )
    task_door_url: Url = Field(description="Address of the task door, as Jobs reach it.")
    task_executor: Literal["local"] = Field(
        default="local", description="Where Jobs run: child processes of this machine."
    )
    task_state_dir: Path = Field(
        default=Path(".gca/state/tasks"), description="Folder of local Jobs."
    )
    clone_dir: Path = Field(default=Path(".gca/state/clones"), description="Folder of clones.")
    max_concurrent_tasks: int = Field(
        default=2, ge=1, le=1000, description="Jobs at once, over all services and replicas."
    )
    task_timeout: int = Field(
        default=1800, ge=30, le=86_400, description="Seconds a Job may take, clone and session."
    )
    review_drafts: bool = Field(default=False, description="Review drafts too.")

    github_token: SecretStr | None = Field(
        default=None, description="Token of a GitHub account with Copilot."
    )
    copilot_provider_type: Literal["openai", "azure", "anthropic"] | None = Field(
        default=None, description="Own model provider instead of GitHub's."
    )
    copilot_provider_base_url: Url | None = Field(
        default=None, description="Address of the own model provider."
    )
    copilot_provider_api_key: SecretStr | None = Field(
        default=None, description="Key of the own model provider."
    )
    copilot_model: str = Field(default="", description="Model; the provider's default when empty.")
    copilot_cli_path: Path | None = Field(
        default=None, description="Copilot CLI; default: the one `make setup` installed."
    )

    health_default: ClassVar[int] = 8082

    def problems(self) -> list[str]:
        found = super().problems()
        if self.github_token is None and self.copilot_provider_type is None:
            found.append("GITHUB_TOKEN: set it, or COPILOT_PROVIDER_TYPE for a model of your own")
        if self.copilot_provider_type and not self.copilot_provider_base_url:
            found.append("COPILOT_PROVIDER_BASE_URL: is needed with COPILOT_PROVIDER_TYPE")
        if self.copilot_provider_type and not self.copilot_model:
            found.append("COPILOT_MODEL: is needed with COPILOT_PROVIDER_TYPE")
        if self.copilot_cli_path is not None and not self.copilot_cli_path.is_file():
            found.append(f"COPILOT_CLI_PATH: there is no file {self.copilot_cli_path}")
        return found

    def limits(self) -> Limits:
        return Limits(timeout=self.task_timeout)

    def of_steps(self) -> dict[str, str]:
        """Values for the Jobs by name; which step sees which is decided by the launcher."""
        names = {name for step in contract.STEP_SETTINGS.values() for name in step}
        found = {}
        for name in names | set(contract.BOTH_STEPS):
            value = getattr(self, name.lower(), None)
            text = reveal(value) if isinstance(value, SecretStr) else str(value or "")
            if text:
                found[name] = text
        return found
