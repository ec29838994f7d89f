"""`gca events PROJECT!IID`: the history of a merge request, with times."""

from __future__ import annotations

import re
import shutil
import sys

from libs.common import subjects
from libs.common.errors import AgentError
from libs.common.jetstream.connection import connected
from libs.common.jetstream.follow import follow
from libs.common.jetstream.log import JetStreamLog
from services.ops.screen import history_table
from services.ops.settings import nats_url


def parse(text: str) -> tuple[str, str]:
    """Project id and iid of `42!7`; raises `AgentError`."""
    match = re.fullmatch(r"(\d+)!(\d+)", text)
    if match is None:
        raise AgentError(
            f"{text[:60]!r} is not a merge request; write PROJECT_ID!IID, such as 42!7"
        )
    return match[1], match[2]


async def run(merge_request: str, *, follow_on: bool) -> int:
    """Print the history, and go on with new events when asked to."""
    pattern = subjects.history(*parse(merge_request))
    width = shutil.get_terminal_size((120, 24)).columns
    async with connected(nats_url(), name="gca", on_closed=lambda: None, patience=20) as connection:
        records = await JetStreamLog(connection).history(pattern)
        for line in history_table(records, width):
            sys.stdout.write(line + "\n")
        if not records:
            sys.stdout.write(f"the log holds nothing about {merge_request}\n")
        if follow_on:
            last = records[-1].seq if records else 0
            async for record in follow(connection, pattern, last):
                records.append(record)
                sys.stdout.write(history_table(records, width)[-1] + "\n")
                sys.stdout.flush()
    return 0
