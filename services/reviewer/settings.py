"""Settings of the reviewer; read by `__main__`, turned into adapters by `wiring`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from libs.common.launching.settings import JobSettings


class Settings(JobSettings):
    """What the reviewer reads."""

    review_drafts: bool = Field(default=False, description="Review drafts too.")

    health_default: ClassVar[int] = 8082
