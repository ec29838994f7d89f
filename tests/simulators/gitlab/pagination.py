"""Offset pagination with GitLab's headers (reference section 2.1).

Links show the external url of the server, which may differ from the one that was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .api import reply
from .errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp import web

    from .api import Call

MAX_PER_PAGE = 100
COUNTED_ROWS = 10_000  # above, totals and the last link are left out


def page_of(
    call: Call, rows: Sequence[Any], show: Callable[[list[Any]], list[Any]]
) -> web.Response:
    """Answer one page; `show` may return fewer items than it gets, as redaction does."""
    if call.text("pagination") == "keyset":
        raise ApiError(
            405, {"error": "Keyset pagination is not yet available for this type of request"}
        )
    page = max(call.number("page", 1), 1)
    per_page = min(max(call.number("per_page", 20), 1), MAX_PER_PAGE)
    first = (page - 1) * per_page
    shown = show(list(rows[first : first + per_page]))
    return reply(shown, headers=_headers(call, page, per_page, len(rows)))


def _headers(call: Call, page: int, per_page: int, total: int) -> dict[str, str]:
    pages = max(-(-total // per_page), 1)
    counted = total <= COUNTED_ROWS
    links = {"prev": page - 1 if page > 1 else 0, "next": page + 1 if page < pages else 0}
    links["first"] = 1
    if counted:
        links["last"] = pages
    headers = {
        "Link": ", ".join(
            f'<{_url(call, number, per_page)}>; rel="{name}"'
            for name, number in links.items()
            if number
        ),
        "X-Page": str(page),
        "X-Per-Page": str(per_page),
        "X-Next-Page": str(links["next"] or ""),
        "X-Prev-Page": str(links["prev"] or ""),
    }
    if counted:
        headers |= {"X-Total": str(total), "X-Total-Pages": str(pages)}
    return headers


def _url(call: Call, page: int, per_page: int) -> str:
    relative = call.request.rel_url.update_query({"page": str(page), "per_page": str(per_page)})
    return f"{call.world.external_url}{relative}"
