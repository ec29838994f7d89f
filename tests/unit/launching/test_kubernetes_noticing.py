"""What is news to the reconciler: a Job that ended or went, told once."""

from __future__ import annotations

import asyncio

import pytest

from libs.common.launching.kubernetes.noticing import Noticing, Phases, news_in


@pytest.mark.parametrize(
    ("told", "now", "news"),
    [
        ({}, {}, set()),
        ({"a": "running"}, {"a": "running"}, set()),
        ({}, {"a": "running"}, set()),
        ({"a": "running"}, {"a": "exited"}, {"a"}),
        ({}, {"a": "exited"}, {"a"}),
        ({"a": "exited"}, {"a": "exited"}, set()),
        ({"a": "running", "b": "running"}, {"b": "running"}, {"a"}),
        ({"a": "exited"}, {"a": "running"}, set()),
    ],
)
def test_an_end_is_news_and_a_start_is_none(told, now, news):
    assert news == news_in(told, now)


class Listener:
    def __init__(self) -> None:
        self.now: Phases = {"a": "running"}
        self.calls = 0
        self.noticing = Noticing(lambda: self.now)
        self.noticing.notice = self.called
        self.noticing.told(self.now)

    def called(self) -> None:
        self.calls += 1


def test_the_same_news_are_told_once_until_the_listener_asked():
    listener = Listener()
    listener.now = {"a": "exited"}
    for _ in range(3):
        listener.noticing.look()
    assert 1 == listener.calls

    listener.noticing.told({"a": "running", "b": "running"})
    listener.now = {"a": "exited", "b": "exited"}
    listener.noticing.look()
    assert 2 == listener.calls


def test_the_end_that_the_listener_asked_for_is_no_news():
    listener = Listener()
    listener.noticing.forget("a")
    listener.now = {}
    listener.noticing.look()
    assert 0 == listener.calls


async def test_changes_that_come_together_are_one_look_and_a_bug_ends_no_looking():
    listener, looks = Listener(), []
    failed, enough = asyncio.Event(), asyncio.Event()

    def stands() -> Phases:
        looks.append(len(looks))
        if len(looks) == 1:
            failed.set()
            raise ValueError("a bug")
        enough.set()
        return {"a": "exited"}

    noticing = Noticing(stands)
    noticing.notice = listener.called
    running = asyncio.create_task(noticing.run())
    for _ in range(5):
        noticing.changed()
    async with asyncio.timeout(5):
        await failed.wait()
        noticing.changed()
        await enough.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert (2, 1) == (len(looks), listener.calls)
