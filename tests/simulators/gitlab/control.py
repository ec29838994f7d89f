"""Commands to a running simulator under /-/sim/, for demos and child processes; loopback only."""

from __future__ import annotations

import base64
import ipaddress
import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .api import reply
from .demo import open_demo
from .faults import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .repository import Content
    from .simulator import SimulatedGitLab
    from .state import MergeRequest, Project, User

    Command = Callable[[SimulatedGitLab, web.Request, dict[str, Any]], Awaitable[Any]]

GITLAB: web.AppKey[SimulatedGitLab] = web.AppKey("gitlab")
SIM = "/-/sim"
MERGE_REQUEST = SIM + "/projects/{project}/merge_requests/{iid}"


def routes() -> list[web.RouteDef]:
    return [
        web.get(SIM + "/health", command(health)),
        web.post(SIM + "/webhook", command(webhook)),
        web.post(SIM + "/demo/open", command(demo_open)),
        web.post(SIM + "/projects", command(create_project)),
        web.post(SIM + "/projects/{project}/commits", command(commit)),
        web.post(SIM + "/projects/{project}/merge_requests", command(open_merge_request)),
        web.post(MERGE_REQUEST + "/{action}", command(change)),
        web.get(SIM + "/requests", command(requests)),
        web.delete(SIM + "/requests", command(forget_requests)),
        web.get(SIM + "/deliveries", command(deliveries)),
        web.post(SIM + "/deliveries/{delivery}/resend", command(resend)),
        web.post(SIM + "/faults", command(add_fault)),
        web.delete(SIM + "/faults", command(clear_faults)),
        web.post(SIM + "/settings", command(settings)),
    ]


def command(function: Command) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        if not ipaddress.ip_address(request.remote or "0.0.0.0").is_loopback:
            raise web.HTTPNotFound
        body = await request.json() if request.body_exists else {}
        try:
            return reply(await function(request.app[GITLAB], request, body))
        except (KeyError, TypeError, ValueError) as error:
            return reply({"error": f"{type(error).__name__}: {error}"}, 400)

    return handle


def project_of(gitlab: SimulatedGitLab, request: web.Request) -> Project:
    wanted = request.match_info["project"]
    if wanted.isdecimal():
        found = gitlab.world.projects.get(int(wanted))
    else:
        found = gitlab.world.project_by_path(wanted)
    if found is None:
        raise web.HTTPNotFound(text="no such project")
    return found


def merge_request_of(gitlab: SimulatedGitLab, request: web.Request) -> MergeRequest:
    found = project_of(gitlab, request).merge_requests.get(int(request.match_info["iid"]))
    if found is None:
        raise web.HTTPNotFound(text="no such merge request")
    return found


def user_of(gitlab: SimulatedGitLab, username: str) -> User:
    found = next((u for u in gitlab.world.users.values() if u.username == username), None)
    if found is None:
        raise ValueError(f"there is no user {username}")
    return found


def shown(merge_request: MergeRequest) -> dict[str, Any]:
    return {
        "project_id": merge_request.project_id,
        "iid": merge_request.iid,
        "web_url": merge_request.web_url,
        "head_sha": merge_request.head_sha,
        "state": merge_request.state,
        "draft": merge_request.draft,
    }


def _files(body: dict[str, Any]) -> dict[str, Content]:
    """Read `files`: text, null to delete, or {"base64": …} for bytes."""
    return {
        path: base64.b64decode(content["base64"]) if isinstance(content, dict) else content
        for path, content in body["files"].items()
    }


async def health(gitlab: SimulatedGitLab, _: web.Request, __: dict[str, Any]) -> Any:
    return {"status": "ok", "url": gitlab.url, "pid": os.getpid()}


async def webhook(gitlab: SimulatedGitLab, _: web.Request, body: dict[str, Any]) -> Any:
    gitlab.set_webhook(
        url=body["url"], secret=body.get("secret"), signing_token=body.get("signing_token")
    )
    return {"url": body["url"]}


async def demo_open(gitlab: SimulatedGitLab, _: web.Request, __: dict[str, Any]) -> Any:
    return shown(await open_demo(gitlab))


async def create_project(gitlab: SimulatedGitLab, _: web.Request, body: dict[str, Any]) -> Any:
    project = gitlab.create_project(body["path"], files=_files(body))
    return {"id": project.id, "http_url": project.http_url}


async def commit(gitlab: SimulatedGitLab, request: web.Request, body: dict[str, Any]) -> Any:
    make = gitlab.commit if body.get("silent", True) else None
    given = {
        "branch": body["branch"],
        "files": _files(body),
        "start": body.get("start"),
        "message": body.get("message", "Change files"),
        "author": user_of(gitlab, body["author"]) if "author" in body else None,
    }
    project = project_of(gitlab, request)
    return {"sha": make(project, **given) if make else await gitlab.push(project, **given)}


async def open_merge_request(
    gitlab: SimulatedGitLab, request: web.Request, body: dict[str, Any]
) -> Any:
    """Take what `Actions.open_merge_request` takes; author by name, source_project by path."""
    options = dict(body)
    if "author" in options:
        options["author"] = user_of(gitlab, options["author"])
    if "source_project" in options:
        options["source_project"] = gitlab.world.project_by_path(options["source_project"])
    return shown(await gitlab.open_merge_request(project_of(gitlab, request), **options))


async def change(gitlab: SimulatedGitLab, request: web.Request, body: dict[str, Any]) -> Any:
    """Do `action`: push, close, reopen, merge, ready, draft, retarget, title, (edit_)comment."""
    merge_request = merge_request_of(gitlab, request)
    action = request.match_info["action"]
    plain = {
        "close": gitlab.close,
        "reopen": gitlab.reopen,
        "merge": gitlab.merge,
        "ready": gitlab.mark_ready,
        "draft": gitlab.mark_draft,
    }
    if action in plain:
        await plain[action](merge_request)
    elif action == "push":
        source = merge_request.source_project or merge_request.project
        branch, message = merge_request.source_branch, body.get("message", "Change files")
        await gitlab.push(source, branch=branch, files=_files(body), message=message)
    elif action == "retarget":
        await gitlab.retarget(merge_request, body["target_branch"])
    elif action == "title":
        await gitlab.set_title(merge_request, body["title"])
    elif action == "comment":
        return await _comment(gitlab, merge_request, body)
    elif action == "edit_comment":
        note = next(n for n in merge_request.notes if n.id == body["note_id"])
        await gitlab.edit_comment(merge_request, note, body["body"])
    else:
        raise web.HTTPNotFound(text="no such action")
    return shown(merge_request)


async def _comment(
    gitlab: SimulatedGitLab, merge_request: MergeRequest, body: dict[str, Any]
) -> dict[str, Any]:
    """Write `body`, as the user `author` (alice), in the thread `discussion_id` (a new one)."""
    author = user_of(gitlab, body["author"]) if "author" in body else None
    thread = merge_request.discussion(body.get("discussion_id", ""))
    note = await gitlab.comment(merge_request, body["body"], as_user=author, discussion=thread)
    told = {"note_id": note.id, "discussion_id": note.discussion_id} if note else {}
    return {**shown(merge_request), **told}


async def requests(gitlab: SimulatedGitLab, _: web.Request, __: dict[str, Any]) -> Any:
    return [entry.shown() for entry in gitlab.requests]


async def forget_requests(gitlab: SimulatedGitLab, _: web.Request, __: dict[str, Any]) -> Any:
    gitlab.requests.clear()
    return {}


async def deliveries(gitlab: SimulatedGitLab, _: web.Request, __: dict[str, Any]) -> Any:
    return [
        {
            "id": delivery.id,
            "event": delivery.event,
            "url": delivery.hook.url,
            "idempotency_key": delivery.idempotency_key,
            "status": delivery.status,
            "error": delivery.error,
            "response_body": delivery.response_body,
            "seconds": delivery.seconds,
            "payload": delivery.payload,
        }
        for delivery in gitlab.deliveries
    ]


async def resend(gitlab: SimulatedGitLab, request: web.Request, _: dict[str, Any]) -> Any:
    wanted = int(request.match_info["delivery"])
    delivery = next((d for d in gitlab.deliveries if d.id == wanted), None)
    if delivery is None:
        raise web.HTTPNotFound(text="no such delivery")
    return {"status": (await gitlab.resend(delivery)).status}


async def add_fault(gitlab: SimulatedGitLab, _: web.Request, body: dict[str, Any]) -> Any:
    unknown = set(body) - {field.name for field in fields(Fault)}
    if unknown:
        raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
    gitlab.faults.add(**body)
    return {}


async def clear_faults(gitlab: SimulatedGitLab, _: web.Request, __: dict[str, Any]) -> Any:
    gitlab.faults.clear()
    return {}


async def settings(gitlab: SimulatedGitLab, _: web.Request, body: dict[str, Any]) -> Any:
    for name, value in body.items():
        if not hasattr(gitlab.settings, name):
            raise ValueError(f"there is no setting {name}")
        setattr(gitlab.settings, name, value)
    return vars(gitlab.settings)
