"""Settings of the coder; read by `__main__`, turned into adapters by `wiring`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from libs.common.launching.settings import JobSettings
from services.coder.spending import Budgets


class Settings(JobSettings):
    """What the coder reads."""

    max_tasks_per_hour: int = Field(
        default=200, ge=1, le=2_000, description="Commands and issues per hour, of everybody."
    )
    max_tasks_per_hour_place: int = Field(
        default=10, ge=1, le=2_000, description="Of these, per merge request or issue."
    )
    max_tasks_per_hour_user: int = Field(
        default=20, ge=1, le=2_000, description="Of these, per person who asks."
    )
    max_tasks_per_hour_project: int = Field(
        default=60, ge=1, le=2_000, description="Of these, per project."
    )
    max_tokens_per_hour_project: int = Field(
        default=50_000_000,
        ge=1,
        le=10**12,
        description="Tokens that commands and issues of a project may use in an hour.",
    )
    max_minutes_per_hour_project: int = Field(
        default=600,
        ge=1,
        le=100_000,
        description="Minutes of Jobs that commands and issues of a project may use in an hour.",
    )

    health_default: ClassVar[int] = 8083

    def budgets(self) -> Budgets:
        return Budgets(
            place=self.max_tasks_per_hour_place,
            user=self.max_tasks_per_hour_user,
            project=self.max_tasks_per_hour_project,
            everywhere=self.max_tasks_per_hour,
            tokens=self.max_tokens_per_hour_project,
            minutes=self.max_minutes_per_hour_project,
        )
