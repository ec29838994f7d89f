"""Looks at GitLab with the agent's own tokens: reachable, tokens, rights, webhooks."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import msgspec

from libs.common.allowed import allowed
from libs.common.errors import AgentError, SettingsError, Temporary, cut
from libs.common.gitlab.errors import Forbidden, Unauthorized
from libs.common.gitlab.inspection import GitLabInspection
from libs.common.gitlab.models import AccessToken, Project, User
from libs.common.gitlab.server import Server
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.inspection import newest
from services.ops.doctor import jira, rights
from services.ops.doctor.check import Check, Probe, broken, guarded, ok, warning
from services.ops.doctor.nats import skew
from services.ops.doctor.rights import Membership
from services.ops.doctor.situation import MAINTAINER_TOKEN, Situation

NAME = "GitLab"
MEND = "check GITLAB_URL, the network, and CA_BUNDLE for a private certificate"
READ, WRITE = "GITLAB_READ_TOKEN", "GITLAB_TOKEN"
AGENT = "AGENT_GITLAB_USERNAME"
QUIET_DAYS = 7
MOST_PROJECTS = 5
"""Looked at when none are named."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A token that works, with its client and its user."""

    client: GitLabInspection
    token: AccessToken
    user: User


async def look(situation: Situation) -> list[Check]:
    """Tokens first; what they can see only when one of them works."""
    if not situation.value("GITLAB_URL"):
        return [ok(NAME, "`gca up` brings a simulated one when it runs")]
    async with AsyncExitStack() as stack:
        found = await asyncio.gather(
            *(_holder(name, situation, stack) for name in (READ, WRITE, MAINTAINER_TOKEN))
        )
        read, write, maintainer = found
        away = [error for error in (read, write) if _is_away(error)]
        if away:
            return [broken(NAME, cut(str(away[0])), MEND)]
        checks = _tokens(situation, read, write)
        if isinstance(maintainer, AgentError):
            checks.append(_refused(MAINTAINER_TOKEN, maintainer))
        holders = [holder for holder in (write, read) if isinstance(holder, Holder)]
        if not holders:
            return checks
        checks += _agent(situation, read, write)
        server, projects, mapped = await asyncio.gather(
            _server(holders[0], situation),
            _projects(situation, holders[0], maintainer),
            _mapped(situation, holders[-1]),
        )
        return [*server, *checks, *projects, *mapped]


async def _holder(
    name: str, situation: Situation, stack: AsyncExitStack
) -> Holder | AgentError | None:
    """The token of this setting with what it tells of itself; None when it is not set."""
    text = situation.token(name)
    if not text:
        return None
    seconds = situation.seconds
    server = Server(
        url=situation.value("GITLAB_URL"),
        token=text,
        token_setting=name,
        ca_bundle=situation.value("CA_BUNDLE") or None,
        allow_http=situation.value("ALLOW_HTTP_GITLAB").lower() in {"true", "1", "yes"},
        connect_timeout=seconds * 0.6,
        read_timeout=seconds * 0.8,
    )
    try:
        client = GitLabInspection(server, pauses=())
    except SettingsError as error:
        return error
    stack.push_async_callback(client.aclose)
    try:
        async with asyncio.timeout(seconds):
            token, user = await asyncio.gather(client.token(), client.current_user())
    except TimeoutError:
        return Temporary(f"GitLab did not answer within {seconds:g} s", peer="gitlab")
    except AgentError as error:
        return error
    return Holder(client=client, token=token, user=user)


def _is_away(found: Holder | AgentError | None) -> bool:
    return isinstance(found, Temporary) and not isinstance(found, Unauthorized)


def _tokens(
    situation: Situation, read: Holder | AgentError | None, write: Holder | AgentError | None
) -> list[Check]:
    today = datetime.now(UTC).date()
    checks = []
    if situation.value(READ):
        checks.append(
            rights.read_token(READ, read.token, read.user.username, today)
            if isinstance(read, Holder)
            else _refused(READ, read)
        )
    else:
        mend = "make a token with read_api and read_repository and set GITLAB_READ_TOKEN"
        meaning = "not set: reviews read with GITLAB_TOKEN, which can write"
        checks.append(warning(READ, meaning, mend))
    checks.append(
        rights.write_token(WRITE, write.token, write.user.username, today)
        if isinstance(write, Holder)
        else _refused(WRITE, write)
    )
    return checks


def _agent(
    situation: Situation, read: Holder | AgentError | None, write: Holder | AgentError | None
) -> list[Check]:
    """Whom the services take for the agent, and who writes: the same, or its notes are people's."""
    if not isinstance(write, Holder):
        return []
    named = situation.value(AGENT).strip().removeprefix("@")
    taken = named or (read.user.username if isinstance(read, Holder) else write.user.username)
    return [rights.agent(AGENT, taken, write.user.username, named=bool(named))]


async def _mapped(situation: Situation, reader: Holder) -> list[Check]:
    """The GitLab projects that issues of Jira lead to, as the read token sees them."""
    if not situation.value("JIRA_URL"):
        return []
    served = allowed(part for part in situation.value("GITLAB_PROJECTS").split(",") if part.strip())

    async def one(key: str, project_id: int) -> list[Check]:
        name = f"{jira.MAP} {key}"

        async def find() -> list[Check]:
            project = await reader.client.find_project(str(project_id))
            is_served = served.serves(project.id, project.path_with_namespace)
            return [rights.mapped(name, project, is_served=is_served)]

        mend = f"correct gitlab_project_id of {key}, or invite {reader.user.username} to it"
        return await guarded(Probe(name, find, mend, 2 * situation.seconds))

    entries = jira.targets(situation).items()
    found = await asyncio.gather(*(one(key, to.gitlab_project_id) for key, to in entries))
    return [check for checks in found for check in checks]


def _refused(name: str, error: Holder | AgentError | None) -> Check:
    text = cut(str(error)) if isinstance(error, AgentError) else f"{name} is not set"
    return broken(name, text, f"make a new token in GitLab and set {name}")


async def _server(holder: Holder, situation: Situation) -> list[Check]:
    url = situation.value("GITLAB_URL")

    async def greet() -> list[Check]:
        before = datetime.now(UTC).replace(microsecond=0)
        greeting = await holder.client.greeting()
        checks = [ok(NAME, f"GitLab {greeting.version} at {url}{_trust(url, situation)}")]
        if greeting.time is not None:
            checks.append(skew("clock of GitLab", greeting.time, before, datetime.now(UTC)))
        return checks

    return await guarded(Probe(NAME, greet, MEND, situation.seconds))


def _trust(url: str, situation: Situation) -> str:
    if not url.startswith("https:"):
        return ", plain http"
    return ", certificate trusted by CA_BUNDLE" if situation.value("CA_BUNDLE") else ", over TLS"


async def _projects(
    situation: Situation, bot: Holder, maintainer: Holder | AgentError | None
) -> list[Check]:
    names = situation.projects or tuple(
        part.strip() for part in situation.value("GITLAB_PROJECTS").split(",") if part.strip()
    )
    seer = maintainer if isinstance(maintainer, Holder) else bot
    if names:
        found = await asyncio.gather(*(_named(name, situation, bot, seer) for name in names))
        return [check for checks in found for check in checks]

    async def unnamed() -> list[Check]:
        projects = await bot.client.own_projects(MOST_PROJECTS)
        some = ", ".join(project.path_with_namespace for project in projects) or "none"
        meaning = f"none named: all whose webhook reaches us are served; looking at {some}"
        checks = [ok("GITLAB_PROJECTS", meaning)]
        found = await asyncio.gather(*(_project(p, situation, bot, seer) for p in projects))
        return checks + [check for checks in found for check in checks]

    mend = "name the projects to serve in GITLAB_PROJECTS"
    return await guarded(Probe("GITLAB_PROJECTS", unnamed, mend, 2 * situation.seconds))


async def _named(name: str, situation: Situation, bot: Holder, seer: Holder) -> list[Check]:
    async def find() -> list[Check]:
        return await _project(await bot.client.find_project(name), situation, bot, seer)

    mend = f"correct GITLAB_PROJECTS, or invite {bot.user.username} to {name} as Developer"
    return await guarded(Probe(f"project {name}", find, mend, 2 * situation.seconds))


async def _project(
    project: Project, situation: Situation, bot: Holder, seer: Holder
) -> list[Check]:
    level = await bot.client.access_level(project.id, bot.user.id)
    member = Membership(project=project, level=level)
    checks = [rights.role(member)]
    if level >= rights.REPORTER and project.default_branch:
        branch, rule = await asyncio.gather(
            bot.client.branch(project.id, project.default_branch),
            bot.client.protection(project.id, project.default_branch),
        )
        checks.append(rights.merging(member, bot.user.id, branch, rule))
    return [*checks, await _webhook(project, situation, seer)]


async def _webhook(project: Project, situation: Situation, seer: Holder) -> Check:
    path = project.path_with_namespace
    url = rights.expected_url(
        situation.webhook_url,
        situation.running.webhook_url if situation.running else "",
        situation.value("GITLAB_URL"),
    )
    try:
        hooks = await seer.client.hooks(project.id)
    except Forbidden:
        return await _heard_of(project, situation)
    hook = rights.chosen(hooks, url)
    last = await seer.client.last_delivery(project.id, hook.id) if hook else None
    return rights.webhook(path, hooks, last, url)


async def _heard_of(project: Project, situation: Situation) -> Check:
    """Webhooks are for Maintainers to see; that events arrive is the next best proof."""
    name = f"webhook of {project.path_with_namespace}"
    mend = f"set {MAINTAINER_TOKEN} (a Maintainer's token, for the doctor only) to have it checked"
    try:
        last = await _last_event(project, situation) if situation.nats_url else None
    except AgentError:  # NATS has its own line
        return warning(name, "only Maintainers may see it, and the log cannot be asked", mend)
    if last is None:
        meaning = "only Maintainers may see it, and the log has no event from this project"
        return warning(name, meaning, mend)
    days = (datetime.now(UTC) - last).days
    ago = f"{days} days ago" if days else "less than a day ago"
    meaning = f"only Maintainers may see it; its last event came {ago}"
    return ok(name, meaning) if days < QUIET_DAYS else warning(name, meaning, mend)


async def _last_event(project: Project, situation: Situation) -> datetime | None:
    async with connected(
        situation.nats_url,
        name="gca-doctor",
        on_closed=lambda: None,
        access=situation.nats_access,
        patience=situation.seconds / 2,
    ) as connection:
        found = await newest(connection, f"mr.*.{project.id}.>")
    return found.time if found else None
