"""What a person gets who asked in a note: one commit, one reply, the right emoji."""

from __future__ import annotations

import msgspec
import pytest
import structlog

from libs.common.commands import command
from libs.common.errors import Temporary
from libs.common.events.tasks import (
    Answered,
    NothingToDo,
    PushTarget,
    Refused,
    Superseded,
    TaskFailed,
)
from libs.common.git import push_errors
from libs.common.git.errors import AuthFailed, RefGone
from libs.common.gitlab.errors import Forbidden
from libs.common.gitlab.repositories import LARGEST_FILE
from services.publisher.handlers import on_event
from tests.unit.publisher.asked import PATCH, emoji, from_note, proposed, replies, whole
from tests.unit.publisher.world import HEAD, Fuse, Killed, World, finding, review


@pytest.fixture
def world() -> World:
    return World()


async def through(world, request, result):
    """The whole way of a task, each event delivered twice; its record of publication."""
    await world.deliver(await world.started(request))
    await world.deliver(await world.ended(result, request))
    return await world.published(request.task_id)


async def test_a_change_becomes_one_commit_one_reply_and_a_check_mark(world):
    request = from_note(world)

    record = await through(world, request, proposed(request, left_out=("b.lock",)))

    [commit] = world.repository.commits
    [reply] = replies(world, request)
    assert ["white_check_mark"] == emoji(world, request)
    assert "The value has a new name." in reply
    assert "- `a.py`" in reply
    assert "- `b.lock`" in reply
    assert f"/-/merge_requests/7/diffs?commit_id={record.commit_sha}" in reply
    assert "No pipeline was started" in reply
    assert ("posted", "topic", HEAD) == (record.outcome, record.branch, commit.parent)
    assert ["commit", "note", "emoji"] == [write.what for write in record.writes]
    assert request.requester == record.requester


async def test_eyes_are_on_the_note_while_the_task_runs(world):
    request = from_note(world)

    await world.deliver(await world.started(request))

    assert ["eyes"] == emoji(world, request)


@pytest.mark.parametrize("kind", ["refused", "published"])
async def test_a_start_that_comes_late_shows_nothing(world, kind):
    request = from_note(world)
    start = await world.started(request)
    refusal = Refused(task_id=request.task_id, head_sha=HEAD, code="moved")
    result = await world.ended(refusal if kind == "refused" else proposed(request), request)
    if kind == "published":
        await world.deliver(result)
    before = emoji(world, request)

    await world.deliver(start)

    assert before == emoji(world, request)
    assert "eyes" not in before


async def test_a_review_that_nobody_asked_for_gets_no_emoji(world):
    await world.deliver(await world.started(await world.requested()))

    assert "award" not in world.gitlab.calls


@pytest.mark.parametrize("error", [Forbidden("403"), None])
async def test_a_note_that_takes_no_emoji_stops_nothing(world, error):
    request = from_note(world)
    if error is None:
        asked = msgspec.structs.replace(request.asked_in, note_id=1)
        request = msgspec.structs.replace(request, asked_in=asked)
    else:
        world.gitlab.fail_next = [error]

    record = await through(world, request, proposed(request))

    assert "posted" == record.outcome
    assert 1 == len(replies(world, request))


async def test_a_kill_before_or_after_any_effect_ends_in_one_commit_and_one_reply():
    probe = World()
    request = from_note(probe)
    fuse = Fuse()
    await whole(probe, request, probe.ports(fuse))
    expected = replies(probe, request)

    assert {"award", "push", "reply", "remove_award", "create"} <= set(fuse.names)
    for kill_at in range(1, fuse.count + 1):
        for when in ("before", "after"):
            where = f"killed {when} effect {kill_at}: {fuse.names[kill_at - 1]}"
            world = World()
            request = from_note(world)
            dying = world.ports(Fuse(kill_at=kill_at, when=when))
            with pytest.raises(Killed):
                await whole(world, request, dying)
            await world.deliver(await world.started(request))
            await world.deliver(await world.ended(proposed(request), request))

            assert 1 == len(world.repository.commits), where
            assert expected == replies(world, request), where
            assert ["white_check_mark"] == emoji(world, request), where
            record = await world.published(request.task_id)
            assert "posted" == record.outcome, where
            assert ["commit", "note", "emoji"] == [w.what for w in record.writes], where


@pytest.mark.parametrize(
    ("end", "mark"),
    [
        (Answered(task_id="", head_sha=HEAD, answer="So."), "white_check_mark"),
        (NothingToDo(task_id="", head_sha=HEAD, summary="Done."), "white_check_mark"),
        (Refused(task_id="", head_sha=HEAD, code="closed"), "x"),
        (TaskFailed(task_id="", head_sha=HEAD, reason="model"), "x"),
        (Superseded(task_id="", head_sha=HEAD, by="it is closed"), "x"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_kill_around_any_effect_of_any_other_end_leaves_one_reply(end, mark):
    probe = World()
    request = from_note(probe)
    fuse = Fuse()
    end = msgspec.structs.replace(end, task_id=request.task_id)
    await probe.deliver(await probe.started(request))
    await on_event(await probe.ended(end, request), ports=probe.ports(fuse))

    assert {"reply", "award", "remove_award", "create"} <= set(fuse.names)
    for kill_at in range(1, fuse.count + 1):
        for when in ("before", "after"):
            where = f"killed {when} effect {kill_at}: {fuse.names[kill_at - 1]}"
            world = World()
            request = from_note(world)
            await world.deliver(await world.started(request))
            result = await world.ended(end, request)
            with pytest.raises(Killed):
                await on_event(result, ports=world.ports(Fuse(kill_at=kill_at, when=when)))
            await world.deliver(result)

            assert 1 == len(replies(world, request)), where
            assert [mark] == emoji(world, request), where
            assert await world.published(request.task_id) is not None, where


@pytest.mark.parametrize("lost", ["reply", "award", "remove_award"])
async def test_a_write_whose_answer_is_lost_is_not_done_twice(world, lost):
    request = from_note(world)
    await on_event(await world.started(request), ports=world.ports())
    result = await world.ended(proposed(request), request)
    world.gitlab.lose_answers = [lost]

    with pytest.raises(Temporary, match="did not answer"):
        await on_event(result, ports=world.ports())
    await world.deliver(result)

    assert 1 == len(replies(world, request))
    assert ["white_check_mark"] == emoji(world, request)


async def test_a_push_without_an_answer_is_looked_for_and_found(world):
    request = from_note(world)
    result = await world.ended(proposed(request), request)
    await world.started(request)
    world.repository.lose_answer = True

    with pytest.raises(Temporary):
        await on_event(result, ports=world.ports())
    await world.deliver(result)

    assert 1 == len(world.repository.commits)
    assert 1 == len(replies(world, request))


async def test_sr_35_a_branch_that_moved_gets_the_change_on_its_new_head(world):
    request = from_note(world)
    await world.started(request)
    world.gitlab.push(world.mr, "c" * 40)

    record = await through(world, request, proposed(request))

    [commit] = world.repository.commits
    assert "c" * 40 == commit.parent
    assert "on top of `cccccccc`" in replies(world, request)[0]
    assert "posted" == record.outcome


async def test_sr_35_a_moved_branch_that_the_change_does_not_fit_is_told(world):
    request = from_note(world)
    world.gitlab.push(world.mr, "c" * 40)
    world.repository.fits = False

    record = await through(world, request, proposed(request))

    assert ("refused", "branch moved") == (record.outcome, record.detail)
    assert [] == world.repository.commits
    assert "other commits meanwhile" in replies(world, request)[0]
    assert ["x"] == emoji(world, request)


async def test_a_branch_that_moves_during_the_push_is_looked_at_again(world):
    request = from_note(world)
    await world.started(request)
    result = await world.ended(proposed(request), request)
    world.repository.fail_next = [push_errors.MovedBranch("moved meanwhile")]

    with pytest.raises(Temporary):
        await on_event(result, ports=world.ports())
    await world.deliver(result)

    assert 1 == len(world.repository.commits)


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (push_errors.ProtectedBranch("no"), "refused", "protects that branch"),
        (push_errors.PatchDoesNotApply("no"), "failed", "does not fit the commit"),
        (push_errors.NothingToPush("no"), "refused", "leaves all files as they are"),
        (push_errors.PushDeclined("no", said="/close it @all"), "failed", "close it"),
        (RefGone("gone"), "refused", "not there any more"),
        (AuthFailed("no"), "failed", "GITLAB_TOKEN"),
    ],
)
async def test_every_way_to_fail_is_told_once_in_the_thread(world, error, outcome, words):
    request = from_note(world)
    world.repository.fail_next = [error]

    record = await through(world, request, proposed(request))

    [reply] = replies(world, request)
    assert outcome == record.outcome
    assert words in reply
    assert "@all" not in reply.replace("\\@all", "")
    assert ["x"] == emoji(world, request)


async def test_gitlab_being_away_is_no_refusal(world):
    request = from_note(world)
    await world.started(request)
    result = await world.ended(proposed(request), request)
    world.repository.fail_next = [push_errors.MaybePushed("no answer")]

    with pytest.raises(Temporary):
        await on_event(result, ports=world.ports())

    assert [] == replies(world, request)


async def test_sr_34_a_hostile_patch_is_refused_with_the_rule(world):
    request = from_note(world)
    hostile = PATCH.replace(b"a.py", b".git/hooks/x")

    record = await through(world, request, proposed(request, patch=hostile))

    assert ("refused", "patch policy: path") == (record.outcome, record.detail)
    assert [] == world.repository.commits
    assert "The change was not made" in replies(world, request)[0]


async def test_sr_32_the_policy_knows_the_setting_the_person_and_what_the_ci_file_includes():
    world = World(allow_protected=True, protected_paths=("deploy/**",))
    request = from_note(world)
    world.gitlab.files[42, "main", ".gitlab-ci.yml"] = b"include:\n  - local: /ci/build.yml\n"
    world.gitlab.files[42, HEAD, ".gitlab-ci.yml"] = b"include: 'ci/new.yml'\n"

    await through(world, request, proposed(request))

    policy = world.repository.policies[0]
    assert (".gitlab-ci.yml", "ci/build.yml", "ci/new.yml") == policy.ci_includes
    assert "deploy/**" in policy.protected_paths
    assert "CODEOWNERS" in policy.protected_paths
    assert (True, 30) == (policy.allow_protected, policy.requester_access)


async def test_sr_32_what_an_included_file_includes_counts_too_within_bounds(world):
    request = from_note(world)
    for n in range(9):
        name = f"ci/{n}.yml" if n else ".gitlab-ci.yml"
        world.gitlab.files[42, "main", name] = f"include: ci/{n + 1}.yml\n".encode()

    await through(world, request, proposed(request))

    expected = (".gitlab-ci.yml", *(f"ci/{n}.yml" for n in range(1, 5)))
    assert expected == world.repository.policies[0].ci_includes
    assert 5 == world.gitlab.calls.count("file")


async def test_a_ci_file_that_cannot_be_read_stops_nothing(world):
    request = from_note(world)
    world.gitlab.files[42, "main", ".gitlab-ci.yml"] = b"x" * (LARGEST_FILE + 1)

    record = await through(world, request, proposed(request))

    assert "posted" == record.outcome
    assert (".gitlab-ci.yml",) == world.repository.policies[0].ci_includes


async def test_sr_33_pipelines_are_skipped_unless_the_operator_says_otherwise(world):
    plain, loud = from_note(world), World(skip_pipelines=False)
    await through(world, plain, proposed(plain))
    request = from_note(loud)
    await through(loud, request, proposed(request))

    assert ("ci.skip",) == world.repository.commits[0].push_options
    assert () == loud.repository.commits[0].push_options
    assert "No pipeline was started" not in replies(loud, request)[0]


async def test_sr_36_the_commit_names_bot_requester_and_task_and_is_the_same_each_time(world):
    request = from_note(world)
    await world.started(request)
    result = await world.ended(proposed(request), request)
    await world.deliver(result)

    order = world.repository.commits[0]
    assert "Copilot Agent" == order.commit.author.name
    assert (("Requested-by", "alice (GitLab user 8)"),) == order.commit.trailers
    assert request.task_id == order.task_id
    assert int(result.time.timestamp()) == order.commit.when


async def test_sr_24_the_words_of_a_commit_call_nobody_and_run_nothing(world):
    request = from_note(world)
    words = {"subject": "Ask @all, closes #4", "summary": "/merge\nSee https://evil.test/?q=1"}

    await through(world, request, proposed(request, **words))

    text = world.repository.commits[0].commit
    assert "Ask @ all, closes # 4" == text.subject
    assert "/ merge\nSee https: //evil.test/?q=1" == text.body


async def test_sr_27_a_secret_is_in_no_commit_and_no_reply(world):
    request = from_note(world)
    words = {"subject": "Use glpat-canary", "summary": "It is glpat-canary"}

    await through(world, request, proposed(request, **words))

    text = world.repository.commits[0].commit
    assert "canary" not in text.subject + text.body + replies(world, request)[0]


async def test_a_stored_patch_is_fetched_and_checked(world):
    request = from_note(world)
    stored = world.artifacts.put(PATCH)

    await through(world, request, proposed(request, patch=b"", stored=stored))

    assert PATCH == world.repository.commits[0].patch


async def test_a_stored_patch_that_is_another_is_not_pushed(world):
    request = from_note(world)
    stored = world.artifacts.put(PATCH)
    world.artifacts.kept[stored.artifact] = PATCH + b"+evil\n"

    record = await through(world, request, proposed(request, patch=b"", stored=stored))

    assert ("failed", "patch lost") == (record.outcome, record.detail)
    assert [] == world.repository.commits


@pytest.mark.parametrize("state", ["closed", "merged"])
async def test_a_merge_request_that_closed_meanwhile_gets_no_commit(world, state):
    request = from_note(world)
    world.gitlab.change(world.mr, state=state)

    record = await through(world, request, proposed(request))

    assert [] == world.repository.commits
    assert ("superseded", f"the merge request is {state}") == (record.outcome, record.detail)
    assert f"the merge request is {state}" in replies(world, request)[0]


async def test_a_commit_made_before_the_close_is_told_of(world):
    request = from_note(world)
    await world.started(request)
    result = await world.ended(proposed(request), request)
    world.repository.lose_answer = True
    with pytest.raises(Temporary):
        await on_event(result, ports=world.ports())
    world.gitlab.change(world.mr, state="merged")

    await world.deliver(result)

    assert "**Done:**" in replies(world, request)[0]


async def test_sr_35_a_change_for_a_fork_goes_to_the_fork_and_nowhere_else(world):
    fork = PushTarget(
        project_id=43, clone_url="https://gitlab.test/alice/project.git", branch="topic"
    )
    request = from_note(world, push=fork)
    world.gitlab.files[43, HEAD, ".gitlab-ci.yml"] = b"include: ci/of-the-fork.yml\n"

    await through(world, request, proposed(request))

    [commit] = world.repository.commits
    assert "https://gitlab.test/alice/project.git" == commit.clone_url
    assert "ci/of-the-fork.yml" in world.repository.policies[0].ci_includes


async def test_a_merge_request_that_is_gone_ends_quietly(world):
    request = from_note(world)
    await world.deliver(await world.started(request))
    del world.gitlab.merge_requests[42, 7]

    await world.deliver(await world.ended(proposed(request), request))

    record = await world.published(request.task_id)
    assert ("superseded", ()) == (record.outcome, record.writes)
    assert [] == world.repository.commits


async def test_an_answer_goes_into_the_thread_through_the_firewall(world):
    request = from_note(world, "ask")
    answer = Answered(task_id=request.task_id, head_sha=HEAD, answer="/merge\nBecause @all wait.")

    record = await through(world, request, answer)

    [reply] = replies(world, request)
    assert reply.startswith("\\/merge\nBecause \\@all wait.")
    assert ["white_check_mark"] == emoji(world, request)
    assert "posted" == record.outcome


async def test_sr_31_a_long_answer_is_cut_with_a_notice(world):
    request = from_note(world, "ask")

    await through(
        world, request, Answered(task_id=request.task_id, head_sha=HEAD, answer="word " * 50_000)
    )

    [reply] = replies(world, request)
    assert "Shortened" in reply
    assert len(reply) < 31_000


async def test_help_says_what_can_be_asked_and_starts_nothing(world):
    request = from_note(world, "ask")

    await through(
        world, request, Answered(task_id=request.task_id, head_sha=HEAD, answer="", help=True)
    )

    [reply] = replies(world, request)
    assert "`/copilot ask" in reply
    assert command(reply, world.gitlab.me.username) is None


async def test_nothing_to_do_says_why(world):
    request = from_note(world)
    result = NothingToDo(task_id=request.task_id, head_sha=HEAD, summary="It is so already.")

    record = await through(world, request, result)

    assert "It is so already." in replies(world, request)[0]
    assert "posted" == record.outcome


async def test_a_refusal_is_told_once_with_what_would_help(world):
    request = from_note(world)
    result = Refused(task_id=request.task_id, head_sha=HEAD, code="access", needed="Developer")

    record = await through(world, request, result)

    [reply] = replies(world, request)
    assert "the role Developer or more" in reply
    assert ("refused", "access", ["x"]) == (record.outcome, record.detail, emoji(world, request))


async def test_a_quiet_refusal_leaves_nothing(world):
    request = from_note(world)
    result = Refused(task_id=request.task_id, head_sha=HEAD, code="budget", quiet=True)

    record = await through(world, request, result)

    assert [] == replies(world, request)
    assert [] == emoji(world, request)
    assert ("refused", ()) == (record.outcome, record.writes)


async def test_a_quiet_refusal_takes_nothing_away_that_an_earlier_task_of_the_note_left(world):
    first = from_note(world)
    await through(world, first, proposed(first))
    second = msgspec.structs.replace(first, task_id=f"{first.task_id}-p2")
    quiet = Refused(task_id=second.task_id, head_sha=HEAD, code="moved", quiet=True)

    await through(world, second, quiet)

    assert ["white_check_mark"] == emoji(world, first)
    assert 1 == len(replies(world, first))


async def test_sr_10_nothing_is_said_of_an_internal_note_outside_its_thread(world):
    request = from_note(world)
    world.mr.discussions.clear()
    result = Refused(task_id=request.task_id, head_sha=HEAD, code="internal_note")

    record = await through(world, request, result)

    assert [] == world.mr.discussions
    assert "refused" == record.outcome


async def test_a_failure_of_a_command_is_told_to_the_person_and_not_as_a_notice(world):
    request = from_note(world)
    result = TaskFailed(task_id=request.task_id, head_sha=HEAD, reason="model", detail="/srv/x")

    record = await through(world, request, result)

    [reply] = replies(world, request)
    assert "No code change this time" in reply
    assert "/srv" not in reply
    assert 1 == len(world.mr.discussions)
    assert ("failed", "model") == (record.outcome, record.detail)


async def test_a_superseded_command_gets_a_word(world):
    request = from_note(world)
    result = Superseded(task_id=request.task_id, head_sha=HEAD, by="the merge request is closed")

    await through(world, request, result)

    assert "the merge request is closed" in replies(world, request)[0]
    assert ["x"] == emoji(world, request)


async def test_a_command_that_goes_on_as_another_task_is_left_without_a_word(world):
    request = from_note(world)
    result = Superseded(
        task_id=request.task_id, head_sha=HEAD, by="head moved", next_task_id="coding-42-7-n1-p2"
    )

    record = await through(world, request, result)

    assert [] == replies(world, request)
    assert ["eyes"] == emoji(world, request)
    assert "superseded" == record.outcome


async def test_a_thread_that_is_gone_leaves_a_plain_note_once(world):
    request = from_note(world)
    world.mr.discussions.clear()
    await world.started(request)
    result = await world.ended(proposed(request), request)
    world.gitlab.lose_answers = ["create_note"]

    with pytest.raises(Temporary):
        await on_event(result, ports=world.ports())
    await world.deliver(result)

    assert 1 == len(world.mr.discussions)
    assert "**Done:**" in world.mr.discussions[0].notes[0].body


async def test_sr_28_a_marker_in_a_strangers_note_counts_for_nothing(world):
    request = from_note(world)
    forged = f"<!-- gca:v1 task={request.task_id} item=reply -->"
    await world.gitlab.reply(42, 7, request.asked_in.discussion_id, forged)
    thread = world.mr.discussions[0]
    stranger = msgspec.structs.replace(thread.notes[-1], author_id=99)
    world.mr.discussions[0] = msgspec.structs.replace(thread, notes=(thread.notes[0], stranger))

    await through(world, request, proposed(request))

    assert 1 == len(replies(world, request))


async def test_a_review_that_was_asked_for_gets_a_check_mark(world):
    request = from_note(world, "review", task_id=f"review-42-7-{HEAD[:16]}-n101")
    result = review(finding(2, "Say what it is."), task_id=request.task_id)

    record = await through(world, request, result)

    assert ["white_check_mark"] == emoji(world, request)
    assert {"note", "discussion", "emoji"} == {write.what for write in record.writes}
    assert [] == replies(world, request)


async def test_a_review_that_was_asked_for_and_came_too_late_gets_a_word(world):
    request = from_note(world, "review", task_id=f"review-42-7-{HEAD[:16]}-n101")
    world.gitlab.push(world.mr, "c" * 40)

    record = await through(world, request, review(task_id=request.task_id))

    assert "head moved" in replies(world, request)[0]
    assert ["x"] == emoji(world, request)
    assert "superseded" == record.outcome


async def test_a_late_review_told_in_a_plain_note_is_not_taken_for_a_half_posted_one(world):
    request = from_note(world, "review", task_id=f"review-42-7-{HEAD[:16]}-n101")
    world.mr.discussions.clear()
    world.gitlab.push(world.mr, "c" * 40)
    await world.started(request)
    result = await world.ended(review(finding(2, "Say it."), task_id=request.task_id), request)
    world.gitlab.lose_answers = ["create_note"]

    with pytest.raises(Temporary):
        await on_event(result, ports=world.ports())
    await world.deliver(result)

    assert 1 == len(world.mr.discussions)
    assert "superseded" == (await world.published(request.task_id)).outcome


async def test_sr_44_each_write_has_a_line_that_names_person_rule_task_and_id(world):
    request = from_note(world)

    with structlog.testing.capture_logs() as lines:
        record = await through(world, request, proposed(request))

    audits = [line for line in lines if line["event"] == "audit"]
    assert {"emoji", "commit", "note"} == {line["what"] for line in audits}
    for line in audits:
        assert "alice (GitLab user 8)" == line["asked_by"]
        assert "code commands need Developer" == line["rule"]
        assert request.task_id == line["task_id"]
    assert record.commit_sha in {line["id"] for line in audits}
