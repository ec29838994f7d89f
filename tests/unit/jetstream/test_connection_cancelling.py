"""A cancellation is never lost in a request, whatever Python's `wait_for` makes of it.

Found by `tests/chaos`: a lease that was released while its renewal was answered was renewed for
ever, and nobody could write to that merge request any more.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from libs.common.jetstream.connection import Connection


class WaitingClient:
    """Answers as nats-py does: by `wait_for`, when the test says so."""

    max_payload = 1024 * 1024

    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def request(self, *_: Any, timeout: float, **__: Any) -> str:  # noqa: ASYNC109  # as nats-py
        return await asyncio.wait_for(self.answer, timeout)


async def test_a_cancel_in_the_moment_of_the_answer_counts():
    client = WaitingClient()
    asking = asyncio.create_task(Connection(client, "test").request("a"))
    await asyncio.sleep(0)
    client.answer.set_result("yes")
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_who_was_cancelled_before_may_still_ask():
    client = WaitingClient()
    client.answer.set_result("yes")
    answers = []

    async def cleans_up() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            answers.append(await Connection(client, "test").request("a"))

    task = asyncio.create_task(cleans_up())
    await asyncio.sleep(0)
    task.cancel()
    await task

    assert ["yes"] == answers
