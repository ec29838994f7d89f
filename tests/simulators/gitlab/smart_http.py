"""git over smart HTTP: `git http-backend` as a child process, streamed both ways.

Basic authentication with any username and a token. After a push the merge requests follow and
the hooks fire, before the client gets the end of its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiohttp import web

from . import auth, events
from .api import USERNAME, WORLD
from .merge_requests import branch_moved
from .repository import ZERO_SHA, git_environment
from .state import DEVELOPER, REPORTER

if TYPE_CHECKING:
    from .state import Project, Token
    from .world import World

CHUNK = 64 * 1024
PUSHES: web.AppKey[dict[int, asyncio.Lock]] = web.AppKey("pushes")
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="GitLab"'}
_DENIED = (
    "HTTP Basic: Access denied. If a password was provided for Git authentication, the password "
    "was incorrect or you're required to use a token instead of a password."
)
_NOT_FOUND = (
    "The project you were looking for could not be found or you don't have permission to view it."
)


def routes() -> list[web.RouteDef]:
    return [
        web.get("/{path:.+}.git/info/refs", serve),
        web.post("/{path:.+}.git/{service:git-upload-pack|git-receive-pack}", serve),
    ]


async def serve(request: web.Request) -> web.StreamResponse:
    world = request.app[WORLD]
    token = auth.git_token(world, request)
    if token is None:
        return web.Response(status=401, text=_DENIED, headers=_CHALLENGE)
    request[USERNAME] = token.user.username
    project = world.project_by_path(request.match_info["path"])
    if project is None or not project.visible_to(token.user):
        return web.Response(status=404, text=_NOT_FOUND)
    service = request.match_info.get("service") or request.query.get("service", "")
    refusal = _refusal(world, project, token, service)
    if refusal:
        return web.Response(status=403, text=refusal)
    if service == "git-receive-pack" and request.method == "POST":
        lock = request.app[PUSHES].setdefault(project.id, asyncio.Lock())
        async with lock:
            return await _push(request, world, project, token)
    response, process = await _start(request, project)
    await _stream(response, process)
    return response


def _refusal(world: World, project: Project, token: Token, service: str) -> str:
    level = project.access_level(token.user)
    if service == "git-receive-pack":
        if world.settings.read_only:
            return "You can't push code to a read-only GitLab instance."
        if not auth.may_push(token) or level < DEVELOPER or project.archived:
            return "You are not allowed to push code to this project."
        return ""
    readable = project.visibility == "public" or level >= REPORTER
    if not readable or not auth.may_fetch(token):
        return "You are not allowed to download code from this project."
    return ""


async def _push(
    request: web.Request, world: World, project: Project, token: Token
) -> web.StreamResponse:
    before = project.repository.refs("refs/")
    response, process = await _start(request, project)
    held = await _stream(response, process, hold=True)
    after = project.repository.refs("refs/")
    refs_changed(world, project, token, before, after)
    await response.write(held)
    await response.write_eof()
    return response


def refs_changed(
    world: World, project: Project, token: Token, before: dict[str, str], after: dict[str, str]
) -> None:
    """Compare refs around a push; tell merge requests and hooks."""
    changed = {
        ref: (before.get(ref, ZERO_SHA), after.get(ref, ZERO_SHA))
        for ref in sorted(before | after)
        if before.get(ref) != after.get(ref) and ref.startswith(("refs/heads/", "refs/tags/"))
    }
    events.push_events(world, project, token.user, changed)
    for ref, (_, new) in changed.items():
        if ref.startswith("refs/heads/"):
            branch_moved(world, project, token.user, ref.removeprefix("refs/heads/"), new)


def _environment(request: web.Request, project: Project) -> dict[str, str]:
    repository = project.repository.path
    suffix = request.path.split(".git/", 1)[1]
    return git_environment() | {
        "GIT_PROJECT_ROOT": str(repository.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repository.name}/{suffix}",
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "REMOTE_USER": request[USERNAME],
        "REMOTE_ADDR": request.remote or "",
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
    }


async def _start(
    request: web.Request, project: Project
) -> tuple[web.StreamResponse, asyncio.subprocess.Process]:
    """Feed the request to git and start the answer with the headers it prints."""
    process = await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(request, project),
    )
    feeding = asyncio.create_task(_feed(request, process))
    try:
        status, headers = await _head(process)
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        await feeding
    except BaseException:
        feeding.cancel()
        await _end(process)
        raise
    return response, process


async def _feed(request: web.Request, process: asyncio.subprocess.Process) -> None:
    """Write the body (aiohttp has undone its gzip already) to git."""
    stdin = process.stdin
    if stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        async for chunk in request.content.iter_chunked(CHUNK):
            stdin.write(chunk)
            await stdin.drain()
    stdin.close()


async def _head(process: asyncio.subprocess.Process) -> tuple[int, dict[str, str]]:
    status, headers = 200, {}
    stdout = process.stdout
    while stdout is not None and (line := (await stdout.readline()).strip()):
        name, _, value = line.decode().partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name] = value.strip()
    return (status if headers else 500), headers


async def _stream(
    response: web.StreamResponse, process: asyncio.subprocess.Process, *, hold: bool = False
) -> bytes:
    """Pass the output on; with `hold` return it instead, after git has ended."""
    held = bytearray()
    try:
        while process.stdout is not None and (chunk := await process.stdout.read(CHUNK)):
            if hold:
                held += chunk
            else:
                await response.write(chunk)
        await process.wait()
    finally:
        await _end(process)
    if not hold:
        await response.write_eof()
    return bytes(held)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
