"""Settings of services that launch Jobs: where they run, how long, and the model's settings.

Read by the reviewer and the coder; which step of a Job sees which value is decided by `contract`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from libs.common.access import ROLES, Levels
from libs.common.events.tasks import Limits
from libs.common.gitlab.server import Server
from libs.common.launching import contract
from libs.common.launching.kubernetes.given import SECRET_NAMES
from libs.common.launching.kubernetes.pod import PodSettings
from libs.common.launching.kubernetes.settings import KubernetesSettings
from libs.common.settings import Secret, Token, Url, reveal


def _role(value: object) -> object:
    return value.strip().title() if isinstance(value, str) else value


ReadRole = Annotated[
    Literal["Guest", "Planner", "Reporter", "Developer", "Maintainer", "Owner"],
    BeforeValidator(_role),
]
WriteRole = Annotated[Literal["Developer", "Maintainer", "Owner"], BeforeValidator(_role)]
"""Who may not push may not have us push either (SR-07)."""


_LEVELS = {name: level for level, name in ROLES.items()}


class JobSettings(KubernetesSettings):
    """What a service reads that launches Jobs; the model's settings are only handed on to them."""

    gitlab_read_token: Token = Field(
        description="Token with read_api and read_repository; clones and reads, never writes."
    )
    task_door_secret: Secret = Field(
        description="Secret that task tokens are made with; the same as ingest's."
    )
    task_door_url: Url = Field(description="Address of the task door, as Jobs reach it.")
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

    min_role_read: ReadRole = Field(
        default="Reporter", description="Least role in a project to ask for a review or an answer."
    )
    min_role_write: WriteRole = Field(
        default="Developer", description="Least role in a project to ask for code."
    )

    copilot_provider_type: Literal["openai", "azure", "anthropic"] | None = Field(
        default=None, description="Own model provider instead of GitHub's."
    )
    copilot_provider_base_url: Url | None = Field(
        default=None, description="Address of the own model provider.", validate_default=True
    )
    copilot_provider_api_key: Token | None = Field(
        default=None, description="Key of the own model provider."
    )
    copilot_model: str = Field(
        default="", description="Model; GitHub's default when empty.", validate_default=True
    )
    github_token: Token | None = Field(
        default=None,
        description="Token of a GitHub account with Copilot.",
        validate_default=True,
    )
    copilot_cli_path: Path | None = Field(
        default=None, description="Copilot CLI; default: the one `make setup` installed."
    )

    xdg_cache_home: Path | None = Field(
        default=None,
        description="Folder of caches, ~/.cache when not set: the Copilot CLI and what it unpacks.",
    )

    allow_repository_mcp_servers: bool = Field(
        default=False,
        description="Start the MCP servers that a repository's target branch asks for; they are "
        "programs with the rights of the Job's user.",
    )

    allow_unsandboxed_coding: bool = Field(
        default=False,
        description="Let coding sessions, which have a shell, run without bubblewrap's wall.",
    )

    @field_validator("copilot_provider_base_url", "copilot_model")
    @classmethod
    def _goes_with_provider(cls, value: str | None, found: ValidationInfo) -> str | None:
        if found.data.get("copilot_provider_type") and not value:
            raise PydanticCustomError("needed", "is needed with COPILOT_PROVIDER_TYPE")
        return value

    @field_validator("github_token")
    @classmethod
    def _some_model(cls, value: SecretStr | None, found: ValidationInfo) -> SecretStr | None:
        by_reference = "GITHUB_TOKEN" in found.data.get("k8s_job_secrets", {})
        # A provider that is given but wrong is missing here; it has its own line then.
        no_provider = found.data.get("copilot_provider_type", "wrong") is None
        if value is None and no_provider and not by_reference:
            raise PydanticCustomError("model", "set it, or COPILOT_PROVIDER_TYPE for another model")
        return value

    @field_validator("github_token", "copilot_provider_api_key")
    @classmethod
    def _comes_from_a_secret(cls, value: SecretStr | None, found: ValidationInfo) -> Any:
        name = str(found.field_name).upper()
        on_kubernetes = found.data.get("task_executor") == "kubernetes"
        if (
            on_kubernetes
            and value is not None
            and name not in found.data.get("k8s_job_secrets", {})
        ):
            raise PydanticCustomError(
                "reference",
                "on Kubernetes Jobs get it from a Secret: name that in K8S_JOB_SECRETS, and leave "
                "this unset",
            )
        return value

    @field_validator("copilot_cli_path")
    @classmethod
    def _cli_is_there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise PydanticCustomError("no_file", "there is no file {path}", {"path": str(value)})
        return value

    def levels(self) -> Levels:
        return Levels(
            read=_LEVELS[self.min_role_read],
            write=_LEVELS[self.min_role_write],
        )

    def gitlab_server(self) -> Server:
        """The GitLab to read from."""
        return Server(
            url=self.gitlab_url,
            token=reveal(self.gitlab_read_token),
            token_setting="GITLAB_READ_TOKEN",  # noqa: S106  # the setting's name
            ca_bundle=str(self.ca_bundle) if self.ca_bundle else None,
            allow_http=self.allow_http_gitlab,
        )

    def limits(self) -> Limits:
        own = self.k8s_job_timeout if self.on_kubernetes else None
        return Limits(timeout=own or self.task_timeout)

    def pods(self, source: str, environment: Mapping[str, str]) -> PodSettings:
        """What pods of this service's Jobs are made of; proxies come from `environment`."""
        files = {contract.CA_BUNDLE, contract.CLI_CACHE, "COPILOT_CLI_PATH"}
        left_out = {*files, *SECRET_NAMES}
        values = {n: v for n, v in self.of_steps().items() if n not in left_out}
        proxies = {n: environment[n] for n in contract.PROXIES if environment.get(n)}
        return PodSettings(
            source=source,
            image=self.k8s_job_image,
            pull_policy=self.k8s_job_image_pull_policy,
            cpu=self.k8s_job_cpu_limit,
            memory=self.k8s_job_memory_limit,
            storage=self.k8s_job_storage_limit,
            ttl=self.k8s_job_ttl,
            secrets=self.k8s_job_secrets,
            values=values | proxies,
            ca_configmap=self.k8s_job_ca_configmap,
            host_aliases=self.k8s_job_host_aliases,
            node_selector=self.k8s_job_node_selector,
            tolerations=self.k8s_job_tolerations,
            extra_env=self.k8s_job_extra_env,
            pull_secrets=self.k8s_job_image_pull_secrets,
        )

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
