"""Settings of services that speak to Jira: ingest reads it, the publisher writes to it."""

from __future__ import annotations

from pydantic import Field

from libs.common.errors import SettingsError
from libs.common.jira.server import JiraServer
from libs.common.settings import Common, Token, Url, reveal


class JiraSettings(Common):
    """Which Jira, with which login; without `JIRA_URL` there is none."""

    jira_url: Url | None = Field(
        default=None,
        description="Address of Jira, such as https://example.atlassian.net; empty: no Jira.",
    )
    jira_email: str = Field(default="", description="Login for Jira Cloud.")
    jira_api_token: Token | None = Field(
        default=None, description="API token of JIRA_EMAIL, for Jira Cloud."
    )
    jira_bearer_token: Token | None = Field(
        default=None, description="Personal access token, for Jira Data Center."
    )

    def problems(self) -> list[str]:
        found = super().problems()
        try:
            self.jira_server()
        except SettingsError as error:
            found += error.problems
        return found

    def jira_server(self) -> JiraServer | None:
        """The Jira to speak to, or None; raises `SettingsError` when its login is incomplete."""
        if self.jira_url is None:
            return None
        return JiraServer(
            url=self.jira_url,
            email=self.jira_email,
            api_token=reveal(self.jira_api_token),
            bearer_token=reveal(self.jira_bearer_token),
            ca_bundle=str(self.ca_bundle) if self.ca_bundle else None,
        ).checked()
