"""Reads query, JSON and form parameters into one nested dictionary, as Rack does.

`position[base_sha]=x` nests, `iids[]=1` makes a list. Called by `api`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import web

_KEY = re.compile(r"\[([^\]]*)\]")


async def read(request: web.Request) -> dict[str, Any]:
    """Raise ValueError when the body cannot be read."""
    values: dict[str, Any] = {}
    for name, value in request.query.items():
        put(values, name, value)
    if request.body_exists:
        values.update(await _body(request))
    return values


async def _body(request: web.Request) -> dict[str, Any]:
    if request.content_type in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        form: dict[str, Any] = {}
        for name, value in (await request.post()).items():
            put(form, name, value)
        return form
    raw = await request.read()
    if not raw.strip():
        return {}
    parsed = json.loads(raw)
    return parsed if isinstance(parsed, dict) else {}


def put(values: dict[str, Any], name: str, value: Any) -> None:
    first, _, rest = name.partition("[")
    keys = [first, *_KEY.findall("[" + rest)] if rest else [first]
    here: Any = values
    for index, key in enumerate(keys[:-1]):
        following: Any = [] if keys[index + 1] == "" else {}
        if not isinstance(here.get(key), type(following)):
            here[key] = following
        here = here[key]
    if isinstance(here, list):
        here.append(value)
    else:
        here[keys[-1]] = value
