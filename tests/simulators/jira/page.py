"""The pages for people: a list of issues, and one page per issue with buttons for its ways.

`/` and `/browse/<key>`; with `/live` they answer JSON {digest, html} for the script of the
simulated GitLab's pages, which keeps them current and shares its looks.
"""

from __future__ import annotations

import hashlib
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .control import JIRA, check_loopback, find_issue

if TYPE_CHECKING:
    from .simulator import SimulatedJira
    from .state import Comment, Issue

LOOKS = Path(__file__).parents[1] / "gitlab" / "web"
BLOCKS = {
    "paragraph": "p",
    "bulletList": "ul",
    "orderedList": "ol",
    "listItem": "li",
    "blockquote": "blockquote",
    "heading": "h3",
    "codeBlock": "pre",
}


def routes() -> list[web.RouteDef]:
    return [
        web.get("/", show_index),
        web.get("/-/live", live_index),
        web.get("/browse/{key}", show_issue),
        web.get("/browse/{key}/live", live_issue),
        web.post("/browse/{key}/move", move),
    ]


async def show_index(request: web.Request) -> web.Response:
    return _document("Simulated Jira", _index(request.app[JIRA]), "/-/live")


async def live_index(request: web.Request) -> web.Response:
    return _live(_index(request.app[JIRA]))


async def show_issue(request: web.Request) -> web.Response:
    issue = find_issue(request.app[JIRA], request)
    return _document(f"{issue.key} {issue.summary}", _issue(issue), f"{request.path}/live")


async def live_issue(request: web.Request) -> web.Response:
    return _live(_issue(find_issue(request.app[JIRA], request)))


async def move(request: web.Request) -> web.Response:
    """Do what a button says, as alice."""
    check_loopback(request)
    jira = request.app[JIRA]
    issue = find_issue(jira, request)
    wanted = str((await request.post()).get("way", ""))
    for way in issue.project.workflow.ways_from(issue.status):
        if way.id == wanted:
            jira.move(issue, way.target)
    raise web.HTTPSeeOther(f"/browse/{issue.key}")


def _index(jira: SimulatedJira) -> str:
    rows = "".join(
        f'<p class="row"><a href="/browse/{escape(issue.key)}">{escape(issue.key)} '
        f"{escape(issue.summary)}</a> {_badge(issue)}</p>"
        for issue in jira.world.issues.values()
    )
    return "<h1>Issues</h1>" + (rows or '<p class="empty">No issues yet.</p>')


def _issue(issue: Issue) -> str:
    comments = "".join(map(_comment, issue.comments)) or '<p class="empty">No comments yet.</p>'
    moves = [(c, item) for c in issue.changes for item in c.items if item["fieldId"] == "status"]
    history = "".join(
        f"<li>{escape(change.author.display_name if change.author else 'Somebody')}: "
        f"{escape(item['fromString'])} → {escape(item['toString'])}</li>"
        for change, item in moves
    )
    return (
        f'<div class="top"><p class="crumbs">{escape(issue.project.name)} / {escape(issue.key)}</p>'
        f"<h1>{escape(issue.summary)}</h1>"
        f'<p class="facts">{_badge(issue)} <span class="muted">{escape(issue.issue_type)} by '
        f"{escape(issue.creator.display_name)}</span></p>{_buttons(issue)}</div>"
        f'<div class="description">{_body(issue.description)}</div>'
        f"<h2>Comments</h2>{comments}<h2>History</h2><ul>{history}</ul>"
    )


def _badge(issue: Issue) -> str:
    looks = "merged" if issue.status.category == "done" else "opened"
    return f'<span class="badge {looks}">{escape(issue.status.name)}</span>'


def _buttons(issue: Issue) -> str:
    buttons = "".join(
        f'<button name="way" value="{escape(way.id)}">{escape(way.name)}</button> '
        for way in issue.project.workflow.ways_from(issue.status)
        if way.target != issue.status.name
    )
    return f'<form method="post" action="/browse/{escape(issue.key)}/move">{buttons}</form>'


def _comment(comment: Comment) -> str:
    return (
        f'<div class="thread" data-note="{comment.id}"><p><b>'
        f"{escape(comment.author.display_name)}</b></p>{_body(comment.body)}</div>"
    )


def _body(body: Any) -> str:
    if body is None:
        return '<p class="muted">No description.</p>'
    return f"<pre>{escape(body)}</pre>" if isinstance(body, str) else _node(body)


def _node(node: dict[str, Any]) -> str:
    kind = node.get("type")
    if kind == "text":
        return _text(node)
    if kind == "hardBreak":
        return "<br>"
    inside = "".join(_node(child) for child in node.get("content", []))
    tag = BLOCKS.get(str(kind))
    return f"<{tag}>{inside}</{tag}>" if tag else inside


def _text(node: dict[str, Any]) -> str:
    shown = escape(node["text"])
    for mark in node.get("marks", []):
        if mark["type"] == "code":
            shown = f"<code>{shown}</code>"
        elif mark["type"] == "link" and mark["attrs"]["href"].startswith(("http://", "https://")):
            href = escape(mark["attrs"]["href"])
            shown = f'<a href="{href}">{shown}</a>'
    return shown


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode(errors="replace")).hexdigest()[:16]


def _live(body: str) -> web.Response:
    return web.json_response({"digest": _digest(body), "html": body})


def _document(title: str, body: str, live: str) -> web.Response:
    text = f"""<!doctype html>
<html lang="en" data-theme="auto">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{(LOOKS / "page.css").read_text()}</style>
</head>
<body data-live="{escape(live)}" data-digest="{_digest(body)}">
<main id="live">{body}</main>
<script>{(LOOKS / "page.js").read_text()}</script>
</body>
</html>"""
    policy = "default-src 'self' 'unsafe-inline'; img-src 'none'"
    return web.Response(
        body=text.encode(errors="replace"),
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": policy},
    )
