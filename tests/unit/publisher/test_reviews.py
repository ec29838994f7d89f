"""A review on its way into GitLab: each effect once, whatever happens in between."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from libs.common.events.tasks import DiffRefs, Superseded, TaskFailed
from libs.common.gitlab.errors import Forbidden, RateLimited, Unavailable
from services.publisher.handlers import on_event
from tests.unit.publisher.world import HEAD, TASK, Fuse, Killed, World, finding, review

FINDINGS = (
    finding(2, "Say what it is."),
    finding(2, "Why is this gone?", side="old"),
    finding(1, "Context matters."),
    finding(2, "Both lines.", end=3),
)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_review_becomes_one_comment_per_finding_and_one_summary(world):
    await world.requested()

    await world.deliver(await world.ended(review(*FINDINGS)))

    inline = [d for d in world.mr.discussions if not d.individual_note]
    plain = [d for d in world.mr.discussions if d.individual_note]
    assert 4 == len(inline)
    assert 1 == len(plain)
    assert [] == world.mr.drafts
    record = await world.published()
    assert record is not None
    assert ("posted", 4, HEAD) == (record.outcome, len(record.discussion_ids), record.head_sha)
    assert record.web_url.endswith(f"#note_{plain[0].notes[0].id}")


async def test_added_removed_context_and_range_sit_where_gitlab_wants_them(world):
    await world.requested()

    await world.deliver(await world.ended(review(*FINDINGS)))

    places = sorted(
        (note.position.old_line or 0, note.position.new_line or 0)
        for d in world.mr.discussions
        for note in d.notes
        if note.position
    )
    assert [(0, 2), (0, 3), (1, 1), (2, 0)] == places


async def test_a_kill_before_or_after_any_effect_ends_in_one_review():
    probe = World()
    await probe.requested()
    result = await probe.ended(review(*FINDINGS))
    fuse = Fuse()
    await on_event(result, ports=probe.ports(fuse))
    expected = sorted(probe.gitlab.bodies(probe.mr))

    assert fuse.count > 12, "the probe saw no effects"
    for kill_at in range(1, fuse.count + 1):
        for when in ("before", "after"):
            world = World()
            await world.requested()
            result = await world.ended(review(*FINDINGS))
            with pytest.raises(Killed):
                await on_event(result, ports=world.ports(Fuse(kill_at=kill_at, when=when)))
            await world.deliver(result)

            where = f"killed {when} effect {kill_at}: {fuse.names[kill_at - 1]}"
            assert expected == sorted(world.gitlab.bodies(world.mr)), where
            assert [] == world.mr.drafts, where
            record = await world.published()
            assert record is not None, where
            assert "posted" == record.outcome, where


@pytest.mark.parametrize(
    "lost",
    ["create_draft_note", "publish_drafts", "create_note", "delete_draft_note"],
)
async def test_a_write_whose_answer_is_lost_is_not_done_twice(world, lost):
    await world.requested()
    result = await world.ended(review(*FINDINGS))
    if lost == "delete_draft_note":
        await world.gitlab.create_draft_note(42, 7, "left over", None)
    world.gitlab.lose_answers = [lost]

    with pytest.raises(Exception, match="did not answer"):
        await on_event(result, ports=world.ports())
    await world.deliver(result)

    assert 5 == len(world.mr.discussions)
    assert [] == world.mr.drafts


@pytest.mark.parametrize("status", [403, 404])
async def test_without_draft_notes_findings_are_posted_one_by_one(world, status):
    world.gitlab.drafts_status = status
    await world.requested()

    await world.deliver(await world.ended(review(*FINDINGS)))

    assert 4 == world.gitlab.calls.count("create_discussion")
    assert 5 == len(world.mr.discussions)


async def test_a_kill_between_single_discussions_posts_nothing_twice():
    probe = World()
    probe.gitlab.drafts_status = 403
    await probe.requested()
    fuse = Fuse()
    await on_event(await probe.ended(review(*FINDINGS)), ports=probe.ports(fuse))
    assert 4 == fuse.names.count("create_discussion")

    for kill_at in range(1, fuse.count + 1):
        world = World()
        world.gitlab.drafts_status = 403
        await world.requested()
        result = await world.ended(review(*FINDINGS))
        # The refused listing of drafts has no "after".
        when = "before" if fuse.names[kill_at - 1] == "draft_notes" else "after"
        with pytest.raises(Killed):
            await on_event(result, ports=world.ports(Fuse(kill_at=kill_at, when=when)))
        await world.deliver(result)

        assert 5 == len(world.mr.discussions), f"killed {when} effect {kill_at}"


async def test_a_line_that_gitlab_does_not_place_falls_back_to_the_file_and_is_not_lost(world):
    elsewhere = FINDINGS[0].position
    assert elsewhere is not None
    point = msgspec.structs.replace(elsewhere.end, new_line=99)
    lost = msgspec.structs.replace(
        FINDINGS[0], position=msgspec.structs.replace(elsewhere, end=point)
    )
    await world.requested()

    await world.deliver(await world.ended(review(lost)))

    inline = [d for d in world.mr.discussions if not d.individual_note]
    assert 1 == len(inline)
    assert inline[0].notes[0].position is not None
    assert "file" == inline[0].notes[0].position.position_type
    assert "line 2" in inline[0].notes[0].body


async def test_a_finding_without_any_place_is_in_the_summary(world):
    nowhere = msgspec.structs.replace(FINDINGS[0], file="gone.py", position=None)
    await world.requested()

    await world.deliver(await world.ended(review(nowhere)))

    [summary] = world.mr.discussions
    assert "Say what it is" in summary.notes[0].body
    assert "gone.py" in summary.notes[0].body


async def test_a_head_that_moved_gets_nothing_of_the_old_review(world):
    await world.requested()
    result = await world.ended(review(*FINDINGS))
    world.gitlab.push(world.mr, "c" * 40)

    await world.deliver(result)

    assert [] == world.mr.discussions
    record = await world.published()
    assert record is not None
    assert ("superseded", "head moved to cccccccccccc") == (record.outcome, record.detail)


async def test_drafts_that_are_refused_half_way_are_posted_one_by_one(world):
    await world.requested()
    result = await world.ended(review(*FINDINGS))
    fuse = Fuse()
    failing = _FailAt(world.gitlab, 5, Forbidden("403 Forbidden"))

    await on_event(result, ports=_with(world.ports(fuse), failing))

    assert 5 == len(world.mr.discussions)
    assert [] == world.mr.drafts


async def test_drafts_of_an_interrupted_try_are_removed_when_the_head_moved_on(world):
    await world.requested()
    result = await world.ended(review(*FINDINGS))
    await world.gitlab.create_draft_note(42, 7, "left over", None)
    world.gitlab.push(world.mr, "c" * 40)

    await world.deliver(result)

    assert [] == world.mr.drafts
    assert [] == world.mr.discussions


@pytest.mark.parametrize("state", ["closed", "merged"])
async def test_a_closed_merge_request_gets_nothing(world, state):
    await world.requested()
    result = await world.ended(review(*FINDINGS))
    world.gitlab.change(world.mr, state=state)

    await world.deliver(result)

    assert [] == world.mr.discussions


async def test_a_deleted_merge_request_ends_quietly(world):
    await world.requested()
    result = await world.ended(review(*FINDINGS))
    del world.gitlab.merge_requests[42, 7]

    await world.deliver(result)

    record = await world.published()
    assert record is not None
    assert "the merge request is gone" == record.detail


async def test_half_a_posted_review_is_finished_even_when_the_head_moves(world):
    await world.requested()
    result = await world.ended(review(*FINDINGS))
    fuse = Fuse()
    probe = World()
    await probe.requested()
    await on_event(await probe.ended(review(*FINDINGS)), ports=probe.ports(fuse))
    published_at = fuse.names.index("publish_drafts") + 1
    with pytest.raises(Killed):
        await on_event(result, ports=world.ports(Fuse(kill_at=published_at)))
    world.gitlab.push(world.mr, "c" * 40)

    await world.deliver(result)

    assert 5 == len(world.mr.discussions)


async def test_the_next_heads_review_updates_the_summary_and_repeats_no_open_thread(world):
    await world.requested()
    await world.deliver(await world.ended(review(*FINDINGS[:1])))
    world.gitlab.push(world.mr, "c" * 40)
    refs = DiffRefs(base_sha="b" * 40, start_sha="b" * 40, head_sha="c" * 40)
    second = TASK.replace("a" * 16, "c" * 16)
    await world.requested(task_id=second, diff_refs=refs)

    later = review(*FINDINGS[:1], task_id=second, head_sha="c" * 40, summary="Second look.")
    await world.deliver(await world.ended(later))

    inline = [d for d in world.mr.discussions if not d.individual_note]
    summaries = [d.notes[0].body for d in world.mr.discussions if d.individual_note]
    assert 1 == len(inline)
    assert 1 == len(summaries)
    assert "Second look" in summaries[0]
    assert "Still open" in summaries[0]


async def test_a_failure_is_told_once_and_settled_by_the_review_that_follows(world):
    await world.requested()
    await world.deliver(
        await world.ended(TaskFailed(task_id=TASK, head_sha=HEAD, reason="timeout"))
    )
    [notice] = world.gitlab.bodies(world.mr)
    assert "stopped" in notice
    second = f"{TASK[:-1]}1"
    await world.requested(task_id=second)

    await world.deliver(await world.ended(review(task_id=second)))

    bodies = world.gitlab.bodies(world.mr)
    assert 2 == len(bodies)
    assert "went through" in bodies[0]


async def test_a_superseded_task_is_recorded_and_leaves_no_trace_in_gitlab(world):
    await world.requested()

    await world.deliver(await world.ended(Superseded(task_id=TASK, head_sha=HEAD, by="head cccc")))

    assert [] == world.gitlab.calls
    record = await world.published()
    assert record is not None
    assert "superseded" == record.outcome


@pytest.mark.parametrize("error", [Unavailable("502 from a proxy"), RateLimited("slow down")])
async def test_gitlab_away_at_any_call_is_tried_again_and_ends_in_one_review(error):
    for fail_at in range(12):
        world = World()
        await world.requested()
        result = await world.ended(review(*FINDINGS))
        fuse = Fuse(kill_at=None)
        ports = world.ports(fuse)
        world.gitlab.fail_next = []
        failing = _FailAt(world.gitlab, fail_at, error)
        with pytest.raises(type(error)):
            await on_event(result, ports=_with(ports, failing))

        await world.deliver(result)

        assert 5 == len(world.mr.discussions), f"failed at call {fail_at}"


class _FailAt:
    """The fake, but one call of it is answered by an error."""

    def __init__(self, inner: object, number: int, error: Exception) -> None:
        self._inner, self._left, self._error = inner, number, error

    def __getattr__(self, name: str) -> object:
        if self._left == 0:
            self._left = -1

            async def fail(*_: object, **__: object) -> None:
                raise self._error

            return fail
        self._left -= 1
        return getattr(self._inner, name)


def _with(ports: object, gitlab: object) -> object:
    return dataclasses.replace(ports, gitlab=gitlab)  # type: ignore[type-var]


async def test_a_replayed_review_refreshes_the_summary_in_place_and_adds_what_is_new(world):
    await world.requested()
    await world.deliver(await world.ended(review(*FINDINGS[:2], summary="First look.")))
    [before] = [d.notes[0].id for d in world.mr.discussions if d.individual_note]
    again = f"review-42-7-{HEAD[:16]}-rnight"

    request = await world.requested(task_id=again)
    result = review(*FINDINGS, task_id=again, summary="Second look.")
    await world.deliver(await world.ended(result, request))

    [summary] = [d.notes[0] for d in world.mr.discussions if d.individual_note]
    assert before == summary.id
    assert "Second look." in summary.body
    assert "First look." not in summary.body
    assert 4 == len([d for d in world.mr.discussions if not d.individual_note])
