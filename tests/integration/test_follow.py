"""A person who follows the log sees each new event, also of a log that replaced the old one."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
import structlog

from libs.common.jetstream.follow import follow, last_seq
from tests.contract.event_log import closed, opened
from tests.fixtures.nats import apply_again, remove_everything

pytestmark = pytest.mark.real


async def test_events_are_shown_from_where_one_began_as_they_come(connection, event_log):
    await event_log.append(opened(iid=1))
    begin = await last_seq(connection)
    await event_log.append(opened(iid=2))
    await event_log.append(closed(iid=2))

    async with aclosing(follow(connection, "mr.opened.>", begin)) as events:
        seen = [await anext(events)]
        await event_log.append(opened(iid=3))
        async with asyncio.timeout(10):
            seen.append(await anext(events))

    assert [record.event.iid for record in seen] == [2, 3]


async def test_a_log_that_replaced_the_old_one_is_followed_from_its_beginning(
    connection, event_log
):
    for iid in (1, 2, 3):
        await event_log.append(opened(iid=iid))
    with structlog.testing.capture_logs() as lines:
        async with aclosing(follow(connection, ">", 2)) as events:
            assert (await anext(events)).event.iid == 3
            coming = asyncio.ensure_future(anext(events))
            await remove_everything(connection)
            async with asyncio.timeout(10):
                while not any("cannot read the log" in line["event"] for line in lines):  # noqa: ASYNC110  # lines set no event
                    await asyncio.sleep(0.02)
            await apply_again(connection)
            await event_log.append(opened(iid=4))
            async with asyncio.timeout(10):
                assert (await coming).event.iid == 4
    assert "the log begins anew" in [line["event"] for line in lines]
