"""Looks at Jira with the agent's own login: reachable, projects of the map, their statuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import msgspec

from libs.common.errors import AgentError, SettingsError, cut
from libs.common.jira.errors import NotFound, Unauthorized
from libs.common.jira.inspection import JiraInspection
from libs.common.jira.server import JiraServer
from services.ops.doctor.check import Check, Probe, broken, guarded, ok, warning
from services.ops.doctor.situation import Situation

NAME = "Jira"
MAP = "JIRA_PROJECT_MAP"
MEND = "check JIRA_URL, the network, and CA_BUNDLE for a private certificate"
STATUSES = {
    "JIRA_TRIGGER_STATUS": "AI Ready",
    "JIRA_IN_PROGRESS_STATUS": "In Progress",
    "JIRA_IN_REVIEW_STATUS": "In Review",
}


class Target(msgspec.Struct, frozen=True):
    """Where the issues of a Jira project lead to."""

    gitlab_project_id: int


def targets(situation: Situation) -> dict[str, Target]:
    """The map's entries by key; none when it cannot be read, which its own line says."""
    try:
        return msgspec.json.decode(situation.value(MAP) or "{}", type=dict[str, Target])
    except msgspec.MsgspecError:
        return {}


async def look(situation: Situation) -> list[Check]:
    """The login first; projects only when it works."""
    if not situation.value("JIRA_URL"):
        if situation.simulated:
            return [ok(NAME, "`gca up` brings a simulated one when it runs")]
        return [ok(NAME, "JIRA_URL is not set: work starts in GitLab only")]
    try:
        server = _server(situation)
    except SettingsError as error:
        return [broken(NAME, cut("; ".join(error.problems)), "set them in .env")]
    async with JiraInspection(server, pauses=()) as jira:
        try:
            user = await jira.current_user()
        except Unauthorized as error:
            mend = f"make a new token in Jira and set {server.token_setting}"
            return [broken(NAME, cut(str(error)), mend)]
        except AgentError as error:
            return [broken(NAME, cut(str(error)), MEND)]
        kind = "Data Center" if server.dialect == "data-center" else "Cloud"
        first = ok(NAME, f"Jira {kind} at {server.url}, user {user.display_name or user.id}")
        return [first, *await _projects(jira, situation)]


async def _projects(jira: JiraInspection, situation: Situation) -> list[Check]:
    keys = list(targets(situation))
    if not keys:
        meaning = "no Jira project leads to a GitLab project, so no issue starts work"
        mend = f'set {MAP} to JSON such as {{"PROJ": {{"gitlab_project_id": 42}}}}'
        return [warning(MAP, meaning, mend)]
    wanted = {name: situation.value(name) or value for name, value in STATUSES.items()}
    found = await asyncio.gather(*(_project(jira, key, wanted, situation) for key in keys))
    return [check for checks in found for check in checks]


async def _project(
    jira: JiraInspection, key: str, wanted: Mapping[str, str], situation: Situation
) -> list[Check]:
    name = f"Jira project {key}"

    async def ask() -> list[Check]:
        try:
            return [statuses(key, wanted, await jira.statuses(key))]
        except NotFound as error:
            mend = f"correct {MAP}, or let the agent's user browse {key} in Jira"
            return [broken(name, cut(str(error)), mend)]

    return await guarded(Probe(name, ask, MEND, situation.seconds))


def statuses(key: str, wanted: Mapping[str, str], there: Iterable[str]) -> Check:
    """Pure: whether the project's workflows have the statuses that the settings name."""
    name = f"Jira project {key}"
    known = {status.strip().casefold() for status in there}
    missing = [
        (n, status) for n, status in wanted.items() if status.strip().casefold() not in known
    ]
    if not missing:
        return ok(name, f"its workflow has {', '.join(wanted.values())}")
    said = ", ".join(f"{status!r} ({setting})" for setting, status in missing)
    meaning = f"its workflow has no status {said}"
    mend = f"add it to the workflow of {key}, or set {missing[0][0]} to one that is there"
    # Without the trigger nothing ever starts; the others are only missing for people to see.
    state = broken if missing[0][0] == "JIRA_TRIGGER_STATUS" else warning
    return state(name, meaning, mend)


def _server(situation: Situation) -> JiraServer:
    seconds = situation.seconds
    return JiraServer(
        url=situation.value("JIRA_URL"),
        email=situation.value("JIRA_EMAIL"),
        api_token=situation.value("JIRA_API_TOKEN"),
        bearer_token=situation.value("JIRA_BEARER_TOKEN"),
        ca_bundle=situation.value("CA_BUNDLE") or None,
        connect_timeout=seconds * 0.6,
        read_timeout=seconds * 0.8,
        total_timeout=seconds * 0.9,
    ).checked()
