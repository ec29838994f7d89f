"""The REST endpoints under /api/v4, one module per part; `routes` lists them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import comments, diffs, drafts, merge_requests, projects, protection, webhooks

if TYPE_CHECKING:
    from aiohttp import web


def routes() -> list[web.RouteDef]:
    parts = (projects, protection, merge_requests, diffs, comments, drafts, webhooks)
    return [route for part in parts for route in part.routes()]
