"""`gca webhook send FILE`: post a recorded webhook body to ingest, as GitLab would."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiohttp
import msgspec

from libs.common.errors import AgentError
from services.ops.places import announced, default_root

EVENT_NAMES = {
    "merge_request": "Merge Request Hook",
    "note": "Note Hook",
    "push": "Push Hook",
    "tag_push": "Tag Push Hook",
    "issue": "Issue Hook",
    "emoji": "Emoji Hook",
    "pipeline": "Pipeline Hook",
    "release": "Release Hook",
}


async def send(file: Path, url: str | None) -> int:
    """Print the answer; 0 for a 2xx. Raises `AgentError` when it cannot be sent."""
    try:
        body = await asyncio.to_thread(file.read_bytes)
        kind = msgspec.json.decode(body, type=dict[str, object]).get("object_kind")
    except OSError as error:
        raise AgentError(f"cannot read {file}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise AgentError(f"{file} is not a webhook body in JSON: {error}") from None
    running = announced(default_root())
    address = url or (running.webhook_url if running else None)
    if address is None:
        raise AgentError("no `gca up` runs here; name the webhook with --url")
    secret = os.environ.get("GITLAB_WEBHOOK_SECRET") or (running.webhook_secret if running else "")
    headers = {
        "Content-Type": "application/json",
        "X-Gitlab-Event": EVENT_NAMES.get(str(kind), "System Hook"),
        "X-Gitlab-Token": secret.split(",")[0],
    }
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session,
            session.post(address, data=body, headers=headers) as response,
        ):
            sys.stdout.write(f"{response.status} {(await response.text()).strip()}\n")
            return 0 if response.status < 300 else 1
    except (aiohttp.ClientError, TimeoutError) as error:
        raise AgentError(f"{address} does not answer: {error}") from None
