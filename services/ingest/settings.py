"""Settings of ingest; read by `__main__`, turned into adapters by `wiring`."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import (
    BeforeValidator,
    Field,
    InstanceOf,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from libs.common.jira.jql import LONGEST_STATUS
from libs.common.jira.settings import JiraSettings
from libs.common.settings import CommaList, ProjectSettings, Secret, Token, reveal
from services.ingest.authentication import Keys, signing_key
from services.ingest.jira_map import JiraProject, WrongMap, project_map, unserved


def _projects(value: object) -> object:
    try:
        return project_map(value) if isinstance(value, str) else value
    except WrongMap as error:
        raise PydanticCustomError("map", "{problem}", {"problem": str(error)}) from None


class Settings(ProjectSettings, JiraSettings):
    """What ingest reads.

    Single values are checked by validators, so that one start names every one that is wrong;
    rules over several are in `problems`.
    """

    host: str = Field(default="0.0.0.0", description="Address the webhook listens on.")  # noqa: S104  GitLab is on another machine
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port of the webhook; 0: any free one."
    )
    task_door_host: str = Field(
        default="127.0.0.1",
        description="Address the task door listens on; Jobs on other machines need 0.0.0.0.",
    )
    task_door_port: int = Field(
        default=8001, ge=0, le=65535, description="Port of the task door; 0: any free one."
    )
    task_door_secret: Secret = Field(
        description="Secret that task tokens are made with; made once by `gca up`."
    )
    gitlab_webhook_signing_token: SecretStr | None = Field(
        default=None, description="Signing token of the webhook (whsec_…), GitLab 19.0 and later."
    )
    gitlab_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Secret token of the webhook; two by comma while one is replaced.",
        validate_default=True,
    )
    gitlab_read_token: Token | None = Field(
        default=None,
        description="Token with read_api and read_repository; clones and reads, never writes.",
    )
    gitlab_poll: bool = Field(
        default=False,
        description="Look at GitLab for what no webhook told; needs GITLAB_READ_TOKEN, and "
        "GITLAB_PROJECTS or GITLAB_GROUPS.",
    )
    gitlab_poll_interval: int = Field(
        default=30, ge=1, le=3600, description="Seconds between two looks at GitLab."
    )
    gitlab_poll_look_back: int = Field(
        default=3600,
        ge=0,
        le=86_400,
        description="Seconds that the very first look at GitLab reaches back.",
    )
    gitlab_poll_overlap: int = Field(
        default=90,
        ge=60,
        le=3600,
        description="Seconds that each look at GitLab reaches back over the last one; GitLab may "
        "show a comment a minute late.",
    )
    gitlab_poll_most: int = Field(
        default=500,
        ge=1,
        le=10_000,
        description="Merge requests that one look goes into, of each group and project; the rest "
        "is for the next look, at once.",
    )
    hook_watch_seconds: int = Field(
        default=300,
        ge=0,
        le=86_400,
        description="Seconds that the webhook of an event found by GITLAB_POLL may be late before "
        "we say so; 0: webhooks are not watched.",
    )
    jira_trigger_status: str = Field(
        default="AI Ready",
        max_length=LONGEST_STATUS,
        description="Status of a Jira issue that asks for code.",
    )
    jira_poll_interval: int = Field(
        default=30, ge=1, le=3600, description="Seconds between two looks at Jira."
    )
    jira_project_map: Annotated[
        tuple[InstanceOf[JiraProject], ...], NoDecode, BeforeValidator(_projects)
    ] = Field(
        default=(),
        description="Jira projects that are worked for, as JSON by their key: "
        '`{"PROJ": {"gitlab_project_id": 42, "clone_url": "https://…", "target_branch": "main"}}`; '
        "the last two may be left out.",
    )
    jira_allowed_users: CommaList = Field(
        default=(),
        description="Who may start work by moving an issue: account ids or emails by comma; "
        "empty: everybody who can.",
    )

    health_default: ClassVar[int] = 8081

    @field_validator("gitlab_webhook_signing_token")
    @classmethod
    def _is_signing_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and signing_key(reveal(value)) is None:
            raise PydanticCustomError("form", "must be whsec_ and base64, as gitlab showed it once")
        return value

    @field_validator("gitlab_webhook_secret")
    @classmethod
    def _some_proof(cls, value: SecretStr | None, found: ValidationInfo) -> SecretStr | None:
        # A signing token that is given but wrong is missing here; it has its own line then.
        wrong_token = "gitlab_webhook_signing_token" not in found.data
        if value is None and found.data.get("gitlab_webhook_signing_token") is None:
            if wrong_token:
                return value
            raise PydanticCustomError("none", "set this, or the webhook's signing token")
        if value is not None and not 1 <= len(_parts(value)) <= 2:
            raise PydanticCustomError("count", "takes one secret, or two separated by a comma")
        return value

    @field_validator("jira_trigger_status")
    @classmethod
    def _is_status(cls, value: str) -> str:
        if not value.strip() or not value.isprintable():
            raise PydanticCustomError("status", "must be the name of a status")
        return value.strip()

    def problems(self) -> list[str]:
        return [
            *super().problems(),
            *self._problems_of_ports(),
            *self._problems_of_polling(),
            *self._problems_of_jira(),
        ]

    def _problems_of_ports(self) -> list[str]:
        ports = {"PORT": self.port, "TASK_DOOR_PORT": self.task_door_port}
        ports["HEALTH_PORT"] = self.health_port or self.health_default
        names = list(ports)
        return [
            f"{later}: is the same as {earlier}"
            for number, earlier in enumerate(names)
            for later in names[number + 1 :]
            if ports[earlier] and ports[earlier] == ports[later]
        ]

    def _problems_of_polling(self) -> list[str]:
        if not self.gitlab_poll:
            return []
        found = []
        if self.gitlab_read_token is None:
            found.append("GITLAB_READ_TOKEN: is not set, and GITLAB_POLL needs it")
        if not self.gitlab_projects and not self.gitlab_groups:
            found.append("GITLAB_PROJECTS: is not set; GITLAB_POLL needs it, or GITLAB_GROUPS")
        return found

    def _problems_of_jira(self) -> list[str]:
        projects = self.jira_project_map
        if self.jira_url is None:
            return ["JIRA_URL: is not set, and JIRA_PROJECT_MAP needs it"] if projects else []
        if not projects:
            return ["JIRA_PROJECT_MAP: is not set, and without it no issue starts anything"]
        found = unserved(projects, self.allowed_projects())
        return [f"JIRA_PROJECT_MAP: {'; '.join(found)}"] if found else []

    def keys(self) -> Keys:
        """What a webhook may prove itself with."""
        secret, token = self.gitlab_webhook_secret, self.gitlab_webhook_signing_token
        return Keys(
            secrets=_parts(secret) if secret is not None else (),
            signing_key=signing_key(reveal(token)) or b"",
        )


def _parts(secret: SecretStr) -> tuple[str, ...]:
    return tuple(part.strip() for part in reveal(secret).split(",") if part.strip())
