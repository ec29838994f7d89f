"""The pages for people: an index and one page per merge request, refreshed while open.

`/`, `/<group>/<project>/-/merge_requests` and below it `/<iid>`; the same addresses with `/live`
answer JSON {digest, html} for the small script that keeps the page current. `?theme=dark|light`
overrides what the browser prefers.
"""

from __future__ import annotations

import hashlib
import html
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from tests.simulators.gitlab.api import WORLD
from tests.simulators.gitlab.errors import ApiError

from . import index, merge_request, writing

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import MergeRequest

HERE = Path(__file__).parent
LIST = "/{path:.+}/-/merge_requests"
PAGE = LIST + "/{iid:[0-9]+}"


def routes() -> list[web.RouteDef]:
    return [
        web.get("/", show_index),
        web.get("/-/live", live_index),
        web.get(LIST, show_index),
        web.get(LIST + "/live", live_index),
        web.get(PAGE, show_merge_request),
        web.post(PAGE + "/comments", comment),
        web.get(PAGE + "/live", live_merge_request),
    ]


def _found(request: web.Request) -> MergeRequest:
    project = request.app[WORLD].project_by_path(request.match_info["path"])
    found = project.merge_requests.get(int(request.match_info["iid"])) if project else None
    if found is None:
        raise web.HTTPNotFound(text="There is no such merge request.")
    return found


async def show_index(request: web.Request) -> web.Response:
    path = request.rel_url.raw_path
    live = "/-/live" if path == "/" else f"{path}/live"
    return _document(request, "Simulated GitLab", _index(request), live)


async def live_index(request: web.Request) -> web.Response:
    return _live(_index(request))


def _index(request: web.Request) -> str:
    world = request.app[WORLD]
    if "path" not in request.match_info:
        return index.render(world)
    project = world.project_by_path(request.match_info["path"])
    if project is None:
        raise web.HTTPNotFound(text="There is no such project.")
    return index.render(world, project)


async def show_merge_request(request: web.Request) -> web.Response:
    record = _found(request)
    body = merge_request.render(request.app[WORLD], record)
    title = f"{record.title} (!{record.iid}) · {record.project.path_with_namespace}"
    return _document(request, title, body, request.rel_url.raw_path + "/live")


async def live_merge_request(request: web.Request) -> web.Response:
    return _live(merge_request.render(request.app[WORLD], _found(request)))


async def comment(request: web.Request) -> web.Response:
    """Take what the comment box sends: JSON {body, author, discussion_id?}."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Send JSON.")
    record = _found(request)
    try:
        writing.post(request.app[WORLD], record, await request.json())
    except ApiError as error:
        return web.json_response({"problem": _words(error)}, status=error.status)
    except (ValueError, AttributeError) as error:
        return web.json_response({"problem": str(error)}, status=400)
    return web.json_response({}, status=201)


def _words(error: ApiError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("message") or body.get("error") or error.body)


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode(errors="replace")).hexdigest()[:16]


def _live(body: str) -> web.Response:
    return web.json_response({"digest": _digest(body), "html": body})


def _document(request: web.Request, title: str, body: str, live: str) -> web.Response:
    theme = request.query.get("theme", "")
    theme = theme if theme in {"dark", "light"} else "auto"
    style = (HERE / "page.css").read_text()
    script = (HERE / "page.js").read_text()
    text = f"""<!doctype html>
<html lang="en" data-theme="{theme}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{style}</style>
</head>
<body data-live="{html.escape(live)}" data-digest="{_digest(body)}">
<main id="live">{body}</main>
<script>{script}</script>
</body>
</html>"""
    return web.Response(
        body=text.encode(errors="replace"),
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'none'"},
    )
