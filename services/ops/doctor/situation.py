"""What the doctor looks at: the operator's settings, and the `gca up` that runs here, if any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.common.jetstream.access import Access
from services.ops import environments
from services.ops.doctor.check import PATIENCE_SECONDS
from services.ops.places import Addresses

MAINTAINER_TOKEN = "GITLAB_MAINTAINER_TOKEN"  # noqa: S105  # the setting's name
"""Read by the doctor only, and given to no service: webhooks are for Maintainers to see."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """`given` is the operator's environment with `.env`; `running` what a `gca up` announced."""

    given: Mapping[str, str] = field(repr=False)
    running: Addresses | None = None
    webhook_url: str = ""
    projects: tuple[str, ...] = ()
    """Projects to look at instead of those of GITLAB_PROJECTS."""
    seconds: float = PATIENCE_SECONDS

    @property
    def settings(self) -> Mapping[str, str]:
        """As the services get them: without GITLAB_URL those of the simulated peers."""
        if self.given.get("GITLAB_URL") or self.running is None:
            return self.given
        return {**self.given, **self.running.settings}

    @property
    def simulated(self) -> bool:
        """Whether `gca up` brings, or would bring, its own GitLab and model."""
        return not self.given.get("GITLAB_URL")

    @property
    def nats_url(self) -> str:
        """Empty when `gca up` would bring its own and does not run."""
        announced = self.running.nats_url if self.running else ""
        return self.given.get("NATS_URL") or announced

    @property
    def nats_access(self) -> Access:
        return Access.of(self.given)

    def value(self, name: str) -> str:
        return self.settings.get(name, "")

    def token(self, name: str) -> str:
        """A secret by its name; the read token falls back to the write token, as in `gca up`."""
        if name == "GITLAB_READ_TOKEN":
            return environments.read_token(self.settings)
        return self.value(name)
