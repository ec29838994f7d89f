"""git over smart HTTP: `git http-backend` as a child process, streamed both ways.

Basic authentication with any username and a token. After a push the merge requests follow and
the hooks fire, before the client gets the end of its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiohttp import web

from . import auth, pushes, receive_pack, rights
from .api import USERNAME, WORLD
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
    return await _pass_on(request, project)


def _refusal(world: World, project: Project, token: Token, service: str) -> str:
    level = project.access_level(token.user)
    if service == "git-receive-pack":
        if world.settings.read_only:
            return "You can't push code to a read-only GitLab instance."
        may = level >= DEVELOPER or rights.collaborates(world, project, token.user)
        if not auth.may_push(token) or not may or project.archived:
            return rights.NO_PUSH
        return ""
    readable = project.visibility == "public" or level >= REPORTER
    if not readable or not auth.may_fetch(token):
        return "You are not allowed to download code from this project."
    return ""


async def _push(
    request: web.Request, world: World, project: Project, token: Token
) -> web.StreamResponse:
    """Let git take the push, then let everybody know, then answer.

    The answer is whole, so that a fault can hold it back after the push has landed.
    """
    push = await receive_pack.read(request.content)
    words = rights.refusal(world, project, token.user, push.updates)
    verdict = {
        "SIM_REFUSAL": words,
        "SIM_NO_FORCE": " ".join(rights.not_forced(project, push.updates)),
        "SIM_FORCED": rights.FORCE_PROTECTED,
    }
    before = project.repository.refs("refs/")
    process = await _spawn(_environment(request, project) | verdict)
    status, headers, body = await _finish(request, process, bytes(push.raw))
    _refs_changed(world, project, token, before, push.options)
    return web.Response(status=status, headers=headers, body=body)


def _refs_changed(
    world: World, project: Project, token: Token, before: dict[str, str], options: list[str]
) -> None:
    """Compare refs around a push; tell merge requests and hooks."""
    after = project.repository.refs("refs/")
    changed = {
        ref: (before.get(ref, ZERO_SHA), after.get(ref, ZERO_SHA))
        for ref in sorted(before | after)
        if before.get(ref) != after.get(ref) and ref.startswith(("refs/heads/", "refs/tags/"))
    }
    pushes.landed(world, project, token.user, changed, options=options)


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


async def _spawn(environment: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )


async def _finish(
    request: web.Request, process: asyncio.subprocess.Process, first: bytes
) -> tuple[int, dict[str, str], bytes]:
    """Feed the request to git and return its whole answer."""
    feeding = asyncio.create_task(_feed(request, process, first))
    try:
        status, headers = await _head(process)
        body = await process.stdout.read() if process.stdout else b""
        await feeding
        await process.wait()
    finally:
        feeding.cancel()
        await _end(process)
    return status, headers, body


async def _pass_on(request: web.Request, project: Project) -> web.StreamResponse:
    """Feed the request to git and stream its answer, which may be large."""
    process = await _spawn(_environment(request, project))
    feeding = asyncio.create_task(_feed(request, process))
    try:
        status, headers = await _head(process)
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        await feeding
        while process.stdout is not None and (chunk := await process.stdout.read(CHUNK)):
            await response.write(chunk)
        await process.wait()
    finally:
        feeding.cancel()
        await _end(process)
    await response.write_eof()
    return response


async def _feed(
    request: web.Request, process: asyncio.subprocess.Process, first: bytes = b""
) -> None:
    """Write the body (aiohttp has undone its gzip already) to git, after what was read of it."""
    stdin = process.stdin
    if stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stdin.write(first)
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


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
