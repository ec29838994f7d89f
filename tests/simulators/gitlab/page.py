"""The pages for people. Placeholder until they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web


def routes() -> list[web.RouteDef]:
    return []
