"""Which Jira, with which credentials: what `client` needs to know. Built in a service's wiring.

A bearer token means Jira Data Center (REST v2, wiki markup); an email with an API token means
Jira Cloud (REST v3, Atlassian Document Format).
"""

from __future__ import annotations

import base64
import ipaddress
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from libs.common.errors import SettingsError

Dialect = Literal["cloud", "data-center"]


class JiraServer(msgspec.Struct, frozen=True, kw_only=True):
    """A Jira and a login for it. Times are in seconds.

    `connect_timeout` is to connect, `read_timeout` between two pieces of an answer, and
    `total_timeout` for one call from end to end.
    """

    url: str
    email: str = ""
    api_token: str = ""
    bearer_token: str = ""
    ca_bundle: str | None = None
    allow_http: bool = False
    connect_timeout: float = 5.0
    read_timeout: float = 20.0
    total_timeout: float = 60.0

    def __repr__(self) -> str:
        return f"JiraServer(url={self.url!r}, dialect={self.dialect!r})"

    @property
    def dialect(self) -> Dialect:
        return "data-center" if self.bearer_token else "cloud"

    @property
    def token_setting(self) -> str:
        return "JIRA_BEARER_TOKEN" if self.bearer_token else "JIRA_API_TOKEN"

    @property
    def authorization(self) -> str:
        """The header's value, for `transport` alone."""
        return f"Bearer {self.bearer_token}" if self.bearer_token else f"Basic {self._basic}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every form in which the login could come back in somebody's text."""
        if self.bearer_token:
            return (self.bearer_token,)
        return (self._basic, self.api_token)

    @property
    def _basic(self) -> str:
        return base64.b64encode(f"{self.email}:{self.api_token}".encode()).decode()

    def checked(self) -> JiraServer:
        """This, or `SettingsError` with every problem."""
        problems = [*self._url_problems(), *self._login_problems()]
        if problems:
            raise SettingsError(problems)
        return self

    def _url_problems(self) -> list[str]:
        if not _shown(self.url):
            return ["JIRA_URL: must look like https://example.atlassian.net"]
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in {"http", "https"} or "@" in parts.netloc:
            return ["JIRA_URL: must look like https://example.atlassian.net"]
        if parts.query or parts.fragment:
            return ["JIRA_URL: must end with the host or the context path"]
        if parts.scheme == "http" and not (self.allow_http or _is_loopback(host)):
            return ["JIRA_URL: must be https://, plain http:// is for this machine only"]
        return []

    def _login_problems(self) -> list[str]:
        if self.bearer_token and (self.email or self.api_token):
            return ["JIRA_BEARER_TOKEN: is for Data Center; JIRA_API_TOKEN is for Cloud"]
        if self.bearer_token:
            given = {"JIRA_BEARER_TOKEN": self.bearer_token}
        else:
            given = {"JIRA_EMAIL": self.email, "JIRA_API_TOKEN": self.api_token}
        problems = [
            f"{name}: must be set, without spaces or line ends"
            for name, value in given.items()
            if not _shown(value)
        ]
        if ":" in self.email:
            problems.append("JIRA_EMAIL: must be an email address")
        return problems


def _shown(value: str) -> bool:
    return bool(value) and all("!" <= character <= "~" for character in value)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
