"""Settings of the budgets that reviewer and coder share. Part of `settings.JobSettings`."""

from __future__ import annotations

from pydantic import Field

from libs.common.settings import ProjectSettings
from libs.common.spending import Budgets


class BudgetSettings(ProjectSettings):
    """How much people may ask for; counted over the hour before."""

    max_tasks_per_hour: int = Field(
        default=200,
        ge=1,
        le=2_000,
        description="Commands and issues per hour, of everybody; `/copilot review` too.",
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

    def budgets(self) -> Budgets:
        return Budgets(
            place=self.max_tasks_per_hour_place,
            user=self.max_tasks_per_hour_user,
            project=self.max_tasks_per_hour_project,
            everywhere=self.max_tasks_per_hour,
            tokens=self.max_tokens_per_hour_project,
            minutes=self.max_minutes_per_hour_project,
        )
