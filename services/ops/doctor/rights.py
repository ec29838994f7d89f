"""What GitLab's answers mean for the agent: pure decisions over tokens, roles, branches, hooks.

Called by `gitlab`. Security: SR-30 (never more than Developer, may not merge to the default
branch), SR-38 (separate tokens of least scope).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from urllib.parse import urlsplit

import msgspec

from libs.common.gitlab.clone_url import is_loopback
from libs.common.gitlab.inspection import Branch, Delivery, Hook, Protection
from libs.common.gitlab.models import AccessToken, Project
from services.ops.doctor.check import Check, broken, ok, warning

EXPIRES_SOON_DAYS = 14
REPORTER, DEVELOPER, MAINTAINER = 20, 30, 40
ROLES = {5: "Minimal access", 10: "Guest", 15: "Planner", 20: "Reporter", 25: "Security manager"}
ROLES |= {30: "Developer", 40: "Maintainer", 50: "Owner", 60: "Admin"}
READ_SCOPES = frozenset({"read_api", "read_repository"})
WRITE_SCOPES = frozenset({"api", "write_repository", "sudo", "admin_mode"})
WEBHOOK_PATH = "/webhook"


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """A project, and the level that the bot has in it (0: none)."""

    project: Project
    level: int

    @property
    def path(self) -> str:
        return self.project.path_with_namespace


def read_token(name: str, token: AccessToken, username: str, today: date) -> Check:
    """The token for reading and cloning: enough, and nothing that can write (SR-38)."""
    missing = READ_SCOPES - token.scopes if "api" not in token.scopes else frozenset()
    if missing:
        return broken(
            name,
            f"{name} lacks the scope {_listed(missing)}",
            f"make a token with read_api and read_repository and set {name}",
        )
    more = WRITE_SCOPES & token.scopes
    if more:
        return warning(
            name,
            f"{name} can write ({_listed(more)}), though reading is all that it is for",
            f"make a token with only read_api and read_repository and set {name}",
        )
    return _in_time(name, token, username, today)


def write_token(name: str, token: AccessToken, username: str, today: date) -> Check:
    """The publisher's token."""
    if "api" not in token.scopes:
        have = _listed(token.scopes) or "none"
        return broken(
            name,
            f"{name} lacks the scope api (it has {have}), so no review can be posted",
            f"make a token with the scope api and set {name}",
        )
    return _in_time(name, token, username, today)


def _in_time(name: str, token: AccessToken, username: str, today: date) -> Check:
    whose = f"user {username}, scopes {_listed(token.scopes)}"
    if token.expires_at is None:
        return ok(name, f"{whose}, without an expiry date")
    left = (token.expires_at - today).days
    if left <= EXPIRES_SOON_DAYS:
        return warning(
            name,
            f"{name} expires on {token.expires_at}, in {left} days",
            f"rotate the token in GitLab and set {name} to the new one",
        )
    return ok(name, f"{whose}, good until {token.expires_at}")


def role(member: Membership) -> Check:
    """SR-30: Developer at most."""
    name = f"role in {member.path}"
    if member.level == 0:
        return broken(
            name,
            "the bot is no member of this project, so it can neither read nor comment",
            f"invite the bot to {member.path} as Developer",
        )
    title = ROLES.get(member.level, f"level {member.level}")
    if member.level < REPORTER:
        return broken(
            name,
            f"the bot is {title}, which may not read the code",
            f"make the bot Developer in {member.path}",
        )
    if member.level < DEVELOPER:
        return warning(
            name,
            f"the bot is {title}: it reviews and answers, but may not push the code it writes",
            f"make the bot Developer in {member.path}",
        )
    if member.level >= MAINTAINER:
        return warning(
            name,
            f"the bot is {title}; Developer is enough, and all that it should have",
            f"make the bot Developer in {member.path}",
        )
    return ok(name, f"the bot is {title}")


def agent(setting: str, taken: str, writes: str, *, named: bool) -> Check:
    """Whether the services know the agent's own notes, which must never be commands (SR-09)."""
    if taken.casefold() == writes.casefold():
        return ok(setting, f"the agent is {writes}: mention it, or write /copilot")
    why = "the setting says" if named else "GITLAB_READ_TOKEN is of"
    return broken(
        setting,
        f"{why} {taken}, but GITLAB_TOKEN writes as {writes}: its notes would be a person's",
        f"set {setting}={writes}",
    )


def mapped(name: str, project: Project, *, is_served: bool) -> Check:
    """Whether issues of a Jira project can become code in this project."""
    if not is_served:
        return broken(
            name,
            f"{project.path_with_namespace} is not in GITLAB_PROJECTS, so its issues are refused",
            "add it to GITLAB_PROJECTS",
        )
    return ok(name, f"issues become merge requests of {project.path_with_namespace}")


def may_merge(member: Membership, user_id: int, branch: Branch, rule: Protection | None) -> bool:
    """Whether the bot could merge or push to this branch, as far as GitLab tells us."""
    if not branch.protected:
        return member.level >= DEVELOPER
    if branch.can_push:
        return True
    if rule is None:
        # The rule is not for us to read (or its name is a wildcard): go by what the branch says.
        least = DEVELOPER if branch.developers_can_merge else MAINTAINER
        return member.level >= least
    entries = (*rule.merge_access_levels, *rule.push_access_levels)
    return any(
        entry.user_id == user_id
        if entry.user_id is not None
        else entry.group_id is None and 0 < entry.access_level <= member.level
        for entry in entries
    )


def merging(member: Membership, user_id: int, branch: Branch, rule: Protection | None) -> Check:
    """SR-30: whether the bot could merge to the default branch is said out loud."""
    name = f"merging in {member.path}"
    if not may_merge(member, user_id, branch, rule):
        return ok(name, f"the bot may not merge to {branch.name}")
    how = "is not protected" if not branch.protected else "lets the bot's role merge or push"
    return warning(
        name,
        f"the bot could merge to {branch.name}: the branch {how}",
        f"in {member.path}, Settings, Repository, Protected branches: allow only Maintainers to "
        f"merge and push to {branch.name}, and keep the bot Developer",
    )


def webhook(path: str, hooks: Sequence[Hook], last: Delivery | None, wanted_url: str) -> Check:
    """Whether this project's webhook reaches ingest; `last` is the chosen hook's newest delivery.

    `wanted_url` is empty where the public address is not known here: then the path decides.
    """
    name, where = f"webhook of {path}", f"in {path}, Settings, Webhooks"
    hook = chosen(hooks, wanted_url)
    if hook is None:
        url = wanted_url or f"https://<address of ingest>{WEBHOOK_PATH}"
        if not hooks:
            return broken(name, "the project has no webhook", f"{where}: add one with url {url}")
        others = ", ".join(_shown(hook.url) for hook in hooks[:3])
        return broken(
            name,
            f"no webhook leads to ingest; there is {others}",
            f"{where}: set the url to {url} (or name the right one with --webhook-url)",
        )
    problem = _problem(hook, last)
    if problem is None:
        return ok(name, f"enabled, for merge requests and comments, to {_shown(hook.url)}")
    meaning, what, serious = problem
    state = broken if serious else warning
    return state(name, meaning, f"{where}: {what}")


def _problem(hook: Hook, last: Delivery | None) -> tuple[str, str, bool] | None:
    """Meaning, how to mend, and whether no event arrives at all."""
    url = _shown(hook.url)
    if hook.alert_status == "disabled":
        return f"GitLab has disabled {url} after failures", "press Test to enable it again", True
    if hook.alert_status == "temporarily_disabled":
        until = f" until {hook.disabled_until:%H:%M} UTC" if hook.disabled_until else ""
        return (
            f"GitLab does not send to {url}{until}, because deliveries failed",
            "mend what failed (see its recent events), then press Test",
            True,
        )
    if not hook.merge_requests_events:
        return f"{url} is not told of merge requests", "tick Merge request events", True
    if last is not None and not last.succeeded:
        return (
            f"the last delivery to {url} failed: {last.response_status}",
            "look at its recent events; the secret token must be GITLAB_WEBHOOK_SECRET",
            True,
        )
    if not hook.note_events:
        return f"{url} is not told of comments, so /copilot does nothing", "tick Comments", False
    return None


def chosen(hooks: Sequence[Hook], wanted_url: str) -> Hook | None:
    """The hook that is ours: of exactly this url, or of ingest's path where no url is known."""
    if wanted_url:
        return next((hook for hook in hooks if hook.url.rstrip("/") == wanted_url), None)
    return next((hook for hook in hooks if urlsplit(hook.url).path == WEBHOOK_PATH), None)


def expected_url(given: str, announced: str, gitlab_url: str) -> str:
    """The url that a hook must have; empty when only its path can be known.

    It is what the operator says, else what a GitLab on this machine must use.
    """
    if given:
        return given.rstrip("/")
    here = is_loopback(urlsplit(gitlab_url).hostname or "")
    return announced if here else ""


def _shown(url: str) -> str:
    """A hook's address without a login or a query, either of which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rsplit('@', 1)[-1]}{parts.path}"


def _listed(names: Sequence[str] | frozenset[str]) -> str:
    return ", ".join(sorted(names))
