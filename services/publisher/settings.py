"""Settings of the publisher; read by `__main__`, turned into adapters by `wiring`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from libs.common.git.commit import Signature
from libs.common.jira.settings import JiraSettings
from libs.common.settings import CommaList, GitLabSettings, Token
from services.publisher.rules import Rules


class Settings(GitLabSettings, JiraSettings):
    """What the publisher reads: the one service that may write to GitLab and Jira."""

    gitlab_token: Token = Field(
        description="Token with api scope, role Developer; posts what people see, pushes commits."
    )
    jira_in_progress_status: str = Field(
        default="In Progress", description="Status of an issue that is worked on."
    )
    jira_in_review_status: str = Field(
        default="In Review", description="Status of an issue whose merge request is there."
    )
    push_ci_skip: bool = Field(
        default=True,
        description="Push commits with ci.skip, so that no pipeline runs before a person looked.",
    )
    protected_paths: CommaList = Field(
        default=(),
        description="Files that no task may change, besides those protected always: patterns by "
        "comma, such as deploy/**.",
    )
    allow_protected_paths: bool = Field(
        default=False, description="Let Maintainers have protected files changed."
    )
    commit_author: str = Field(
        default="Copilot Agent <copilot-agent@noreply.gitlab.com>",
        description="Author of commits, as Name <name@host>.",
    )
    clone_dir: Path = Field(default=Path(".gca/state/clones"), description="Folder of clones.")
    lease_seconds: int = Field(
        default=30,
        ge=2,
        le=300,
        description="Seconds until another publisher takes over from one that died.",
    )

    health_default: ClassVar[int] = 8084

    @field_validator("jira_in_progress_status", "jira_in_review_status")
    @classmethod
    def _is_status(cls, value: str) -> str:
        if not value.strip() or not value.isprintable():
            raise PydanticCustomError("status", "must be the name of a status")
        return value.strip()

    @field_validator("commit_author")
    @classmethod
    def _is_signature(cls, value: str) -> str:
        try:
            Signature.parse(value)
        except ValueError as error:
            raise PydanticCustomError("signature", "{why}", {"why": str(error)}) from None
        return value

    def rules(self) -> Rules:
        return Rules(
            author=Signature.parse(self.commit_author),
            clones=self.clone_dir.resolve(),
            in_progress=self.jira_in_progress_status,
            in_review=self.jira_in_review_status,
            skip_pipelines=self.push_ci_skip,
            protected_paths=self.protected_paths,
            allow_protected=self.allow_protected_paths,
            ca_bundle=str(self.ca_bundle) if self.ca_bundle else None,
            allow_http=self.allow_http_gitlab,
        )
