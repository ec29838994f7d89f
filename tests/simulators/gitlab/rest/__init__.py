"""The REST endpoints under /api/v4, one module per part; `routes` lists them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    comments,
    creating,
    diffs,
    drafts,
    members,
    merge_requests,
    pipelines,
    projects,
    protection,
    repository,
    webhooks,
)

if TYPE_CHECKING:
    from aiohttp import web

_PARTS = (
    projects,
    members,
    repository,
    protection,
    merge_requests,
    creating,
    diffs,
    pipelines,
    comments,
    drafts,
    webhooks,
)


def routes() -> list[web.RouteDef]:
    return [route for part in _PARTS for route in part.routes()]
