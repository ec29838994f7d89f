"""Settings of the publisher; read by `__main__`, turned into adapters by `wiring`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from libs.common.settings import GitLabSettings, Token


class Settings(GitLabSettings):
    """What the publisher reads: the one service that may write to GitLab."""

    gitlab_token: Token = Field(
        description="Token with api scope, role Developer; posts what people see."
    )
    lease_seconds: int = Field(
        default=30,
        ge=2,
        le=300,
        description="Seconds until another publisher takes over from one that died.",
    )

    health_default: ClassVar[int] = 8084
