"""The mirror of the API's objects: list, watch, gaps, and what we did ourselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from libs.common.errors import AgentError, Temporary
from libs.common.launching.kubernetes.client import Change, Listing
from libs.common.launching.kubernetes.errors import Gone
from libs.common.launching.kubernetes.watching import Heard, Mirror

Object = dict[str, Any]


def made(uid: str, version: int, name: str = "job") -> Object:
    return {"metadata": {"uid": uid, "name": name, "resourceVersion": str(version)}}


class Scripted:
    """Lists what it has; watches give what is put into `changes`, errors are raised."""

    def __init__(self, *objects: Object) -> None:
        self.objects = list(objects)
        self.version = 10
        self.lists = 0
        self.watched_from: list[str] = []
        self.fail: list[AgentError] = []
        self.changes: asyncio.Queue[Change | AgentError | None] = asyncio.Queue()
        self.may_list = asyncio.Event()
        self.may_list.set()

    async def list(self, _resource: str, _selector: str) -> Listing:
        self.lists += 1
        if self.fail:
            raise self.fail.pop(0)
        found = Listing(list(self.objects), str(self.version))
        await self.may_list.wait()
        return found

    async def watch(
        self, _resource: str, _selector: str, version: str
    ) -> AsyncIterator[Change | None]:
        self.watched_from.append(version)
        yield None
        while (change := await self.changes.get()) is not None:
            if isinstance(change, AgentError):
                raise change
            yield change


@asynccontextmanager
async def running(reads: Scripted, **more: Any) -> AsyncIterator[Mirror]:
    mirror = Mirror(reads, "jobs", "all", **more)
    task = asyncio.create_task(mirror.run())
    try:
        yield mirror
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  nothing tells when a mirror has heard
            await asyncio.sleep(0.005)


def uids(mirror: Mirror) -> set[str]:
    return {each["metadata"]["uid"] for each in mirror.named("job")}


async def test_a_reader_waits_for_the_first_list():
    reads = Scripted(made("a", 5))
    async with running(reads) as mirror:
        assert [each["metadata"]["uid"] for each in await mirror.objects()] == ["a"]


async def test_changes_are_followed_from_the_list_s_version_on():
    reads = Scripted(made("a", 5))
    async with running(reads) as mirror:
        await mirror.objects()
        reads.changes.put_nowait(Change("ADDED", made("b", 11)))
        reads.changes.put_nowait(Change("DELETED", made("a", 12)))
        await until(lambda: uids(mirror) == {"b"})

    assert reads.watched_from == ["10"]


async def test_a_watch_that_ends_goes_on_from_the_last_bookmark():
    reads = Scripted()
    async with running(reads) as mirror:
        await mirror.objects()
        reads.changes.put_nowait(Change("BOOKMARK", made("", 40)))
        reads.changes.put_nowait(None)
        await until(lambda: len(reads.watched_from) == 2)

    assert reads.watched_from == ["10", "40"]
    assert reads.lists == 1


async def test_a_version_that_is_gone_is_listed_anew_and_what_went_meanwhile_is_told():
    gone: list[str] = []
    heard = Heard(went=lambda each: gone.append(each["metadata"]["uid"]))
    reads = Scripted(made("a", 5), made("b", 6))
    async with running(reads, heard=heard) as mirror:
        await mirror.objects()
        reads.objects, reads.version = [made("b", 6)], 50
        reads.changes.put_nowait(Gone("too old"))
        await until(lambda: uids(mirror) == {"b"})

    assert gone == ["a"]


async def test_what_we_made_during_a_list_stays():
    reads = Scripted()
    reads.may_list.clear()
    async with running(reads) as mirror:
        await until(lambda: reads.lists == 1)
        mirror.put(made("mine", 11))
        reads.may_list.set()
        await mirror.objects()

        assert uids(mirror) == {"mine"}


async def test_late_news_of_what_we_removed_mean_nothing():
    reads = Scripted(made("a", 5))
    async with running(reads) as mirror:
        await mirror.objects()
        mirror.remove("a")
        reads.changes.put_nowait(Change("MODIFIED", made("a", 11)))
        reads.changes.put_nowait(Change("ADDED", made("b", 12)))
        await until(lambda: "b" in uids(mirror))

        assert uids(mirror) == {"b"}


async def test_news_of_an_older_object_of_the_same_name_do_not_touch_the_newer():
    reads = Scripted(made("old", 5))
    async with running(reads) as mirror:
        await mirror.objects()
        mirror.put(made("new", 12))
        reads.changes.put_nowait(Change("DELETED", made("old", 11)))
        await until(lambda: uids(mirror) == {"new"})


async def test_a_mirror_that_was_never_complete_says_why():
    reads = Scripted()
    reads.fail = [Temporary("no right to list jobs")] * 9
    async with running(reads) as mirror:
        with pytest.raises(Temporary, match="no right to list jobs"):
            await mirror.objects()


async def test_a_short_silence_is_bridged():
    reads = Scripted(made("a", 5))
    async with running(reads) as mirror:
        await mirror.objects()
        reads.changes.put_nowait(Temporary("away"))
        await until(lambda: mirror._why)

        assert [each["metadata"]["uid"] for each in await mirror.objects()] == ["a"]


async def test_a_long_silence_is_said():
    reads = Scripted(made("a", 5))
    async with running(reads, stale=0.0) as mirror:
        await mirror.objects()
        reads.changes.put_nowait(Temporary("away"))
        await until(lambda: mirror._why)

        with pytest.raises(Temporary, match="away"):
            await mirror.objects()


async def test_after_an_absence_the_watch_goes_on_without_a_list():
    reads = Scripted(made("a", 5))
    async with running(reads, stale=0.0) as mirror:
        await mirror.objects()
        reads.changes.put_nowait(Temporary("away"))
        await until(lambda: len(reads.watched_from) == 2)
        await until(lambda: mirror.trouble() is None)

    assert reads.lists == 1


async def test_now_and_then_everything_is_listed_anew():
    reads = Scripted(made("a", 5))
    async with running(reads, resync=0.0) as mirror:
        await mirror.objects()
        reads.objects = []
        reads.changes.put_nowait(None)
        await until(lambda: uids(mirror) == set())

    assert reads.lists >= 2


async def test_our_own_mistake_begins_anew_instead_of_ending_the_watch():
    reads = Scripted(made("a", 5))
    async with running(reads) as mirror:
        await mirror.objects()
        reads.changes.put_nowait(Change("ADDED", {"metadata": None}))
        await until(lambda: reads.lists == 2)

        assert uids(mirror) == {"a"}
