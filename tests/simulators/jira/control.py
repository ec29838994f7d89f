"""Commands to a running simulator under /-/sim/, for demos and child processes; loopback only."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.simulators.gitlab.faults import Fault

from . import views
from .api import reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .simulator import SimulatedJira
    from .state import Issue, User

    Command = Callable[[SimulatedJira, web.Request, dict[str, Any]], Any]

JIRA: web.AppKey[SimulatedJira] = web.AppKey("jira")
SIM = "/-/sim"


def routes() -> list[web.RouteDef]:
    return [
        web.get(SIM + "/health", _command(health)),
        web.post(SIM + "/demo/open", _command(demo_open)),
        web.post(SIM + "/projects", _command(create_project)),
        web.post(SIM + "/issues", _command(create_issue)),
        web.get(SIM + "/issues/{key}", _command(show)),
        web.post(SIM + "/issues/{key}/move", _command(move)),
        web.post(SIM + "/issues/{key}/comment", _command(comment)),
        web.get(SIM + "/requests", _command(requests)),
        web.delete(SIM + "/requests", _command(forget_requests)),
        web.post(SIM + "/faults", _command(add_fault)),
        web.delete(SIM + "/faults", _command(clear_faults)),
        web.post(SIM + "/settings", _command(settings)),
    ]


def check_loopback(request: web.Request) -> None:
    if not ipaddress.ip_address(request.remote or "0.0.0.0").is_loopback:
        raise web.HTTPNotFound


def find_issue(jira: SimulatedJira, request: web.Request) -> Issue:
    found = jira.world.issues.get(request.match_info["key"])
    if found is None:
        raise web.HTTPNotFound(text="no such issue")
    return found


def _command(command: Command) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        check_loopback(request)
        body = await request.json() if request.body_exists else {}
        try:
            return reply(command(request.app[JIRA], request, body))
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            return reply({"error": f"{type(error).__name__}: {error}"}, 400)

    return handle


def health(jira: SimulatedJira, _: web.Request, __: dict[str, Any]) -> Any:
    return {"status": "ok", "url": jira.url, "pid": os.getpid()}


def demo_open(jira: SimulatedJira, _: web.Request, __: dict[str, Any]) -> Any:
    return _shown(jira, jira.open_demo())


def create_project(jira: SimulatedJira, _: web.Request, body: dict[str, Any]) -> Any:
    return {"key": jira.create_project(**body).key}


def create_issue(jira: SimulatedJira, _: web.Request, body: dict[str, Any]) -> Any:
    project = jira.world.projects[body.pop("project")]
    creator = _person(jira, body.pop("creator", None))
    return _shown(jira, jira.create_issue(project, creator=creator, **body))


def show(jira: SimulatedJira, request: web.Request, _: dict[str, Any]) -> Any:
    return _shown(jira, find_issue(jira, request))


def move(jira: SimulatedJira, request: web.Request, body: dict[str, Any]) -> Any:
    issue = find_issue(jira, request)
    change = jira.move(issue, body["status"], _person(jira, body.get("by")))
    return _shown(jira, issue) | {"change": change}


def comment(jira: SimulatedJira, request: web.Request, body: dict[str, Any]) -> Any:
    issue = find_issue(jira, request)
    jira.comment(issue, body["text"], _person(jira, body.get("by")))
    return _shown(jira, issue)


def requests(jira: SimulatedJira, _: web.Request, __: dict[str, Any]) -> Any:
    return [entry.shown() for entry in jira.requests]


def forget_requests(jira: SimulatedJira, _: web.Request, __: dict[str, Any]) -> Any:
    jira.requests.clear()
    return {}


def add_fault(jira: SimulatedJira, _: web.Request, body: dict[str, Any]) -> Any:
    unknown = set(body) - {field.name for field in fields(Fault)}
    if unknown:
        raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
    jira.faults.add(**body)
    return {}


def clear_faults(jira: SimulatedJira, _: web.Request, __: dict[str, Any]) -> Any:
    jira.faults.clear()
    return {}


def settings(jira: SimulatedJira, _: web.Request, body: dict[str, Any]) -> Any:
    for name, value in body.items():
        if name == "data_center" or not hasattr(jira.settings, name):
            raise ValueError(f"no setting {name} that can be changed")
        setattr(jira.settings, name, value)
    return asdict(jira.settings)


def _person(jira: SimulatedJira, name: str | None) -> User | None:
    """The user of that name, made when there is none yet."""
    if name is None:
        return None
    known = next((user for user in jira.world.users if user.name == name), None)
    return known or jira.add_user(name)


def _shown(jira: SimulatedJira, issue: Issue) -> dict[str, Any]:
    return {
        "key": issue.key,
        "web_url": f"{jira.url}/browse/{issue.key}",
        "status": issue.status.name,
        "comments": [views.comment(jira.world, each) for each in issue.comments],
        "changes": [views.change(jira.world, each) for each in issue.changes],
    }
