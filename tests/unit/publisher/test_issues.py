"""What a Jira issue gets: one branch, one Draft merge request, one comment, its next status."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.errors import Temporary
from libs.common.events.tasks import NothingToDo, Refused, TaskFailed
from libs.common.git import push_errors
from libs.common.gitlab.errors import Forbidden as GitLabForbidden
from libs.common.gitlab.models import MergeRequest
from libs.common.jira.errors import Forbidden, NotFound, Unavailable
from services.publisher.handlers import on_event
from services.publisher.issue_words import unmarked
from tests.fakes.gitlab import BASE_SHA
from tests.unit.firewall.oracles import commands
from tests.unit.publisher.asked import from_issue, proposed, whole
from tests.unit.publisher.world import Fuse, Killed, World


@pytest.fixture
def world() -> World:
    return World()


async def through(world, request, result):
    await world.deliver(await world.started(request))
    await world.deliver(await world.ended(result, request))
    return await published(world, request)


async def published(world, request):
    return await world.published(request.task_id, place=(request.scope, request.ref))


def made(world) -> list[MergeRequest]:
    """The merge requests of the bot's."""
    held = [one.merge_request for one in world.gitlab.merge_requests.values()]
    return [mr for mr in held if mr.author_id == world.gitlab.me.id]


async def test_a_change_becomes_a_draft_merge_request_a_comment_and_the_next_status(world):
    request = from_issue(world)

    record = await through(world, request, proposed(request))

    [mr] = made(world)
    [comment] = world.jira.bodies(world.issue)
    [commit] = world.repository.commits
    assert (f"agent/{world.issue}", "main") == (mr.source_branch, mr.target_branch)
    assert commit.new_branch
    assert mr.web_url in comment
    assert "The value has a new name." in comment
    assert "In Review" == world.jira.issues[world.issue].status
    assert ("posted", mr.iid, mr.web_url) == (
        record.outcome,
        record.merge_request_iid,
        record.web_url,
    )
    assert ["commit", "merge_request", "jira_comment", "jira_transition"] == [
        write.what for write in record.writes
    ]


async def test_sr_36_the_merge_request_is_a_draft_that_names_issue_requester_and_task(world):
    request = from_issue(world, title="Add tax " + "x" * 300)

    await through(world, request, proposed(request))

    [mr] = made(world)
    assert mr.title.startswith(f"Draft: {world.issue} Add tax")
    assert 255 == len(mr.title)
    assert f"[{world.issue}](https://jira.test/browse/{world.issue})" in mr.description
    assert "Requested by `Alice Ash` in Jira" in mr.description
    assert f"Task `{request.task_id}`" in mr.description
    trailers = world.repository.commits[0].commit.trailers
    assert (("Requested-by", "Alice Ash (Jira account 712020:alice)"),) == trailers


async def test_sr_24_no_word_of_issue_or_model_runs_in_the_merge_request(world):
    request = from_issue(world, title="/merge @all #4")
    words = {"summary": "/approve\n  /close\r/label ~x\n- /assign @me"}

    await through(world, request, proposed(request, **words))

    [mr] = made(world)
    assert [] == commands(mr.description)
    assert f"Draft: {world.issue} / merge @ all # 4" == mr.title


async def test_sr_26_a_comment_links_to_nowhere_else_and_shows_no_escapes(world):
    request = from_issue(world)
    words = {"summary": "See [this](https://evil.test/?q=1) and https://evil.test, a\\_b @all."}
    documents = []
    add = world.jira.add_comment

    async def seen(issue_key, document):
        documents.append(document)
        return await add(issue_key, document)

    world.jira.add_comment = seen
    await through(world, request, proposed(request, **words))

    text = msgspec.json.encode(documents).decode()
    assert '"href":"https://evil' not in text
    assert '"href":"https://gitlab.test' in text
    assert "\\\\" not in text
    assert "a_b @all." in text


async def test_the_issue_is_in_progress_while_the_task_runs(world):
    await world.deliver(await world.started(from_issue(world)))

    assert "In Progress" == world.jira.issues[world.issue].status


async def test_an_issue_that_a_person_moved_away_meanwhile_stays_where_it_is(world):
    request = from_issue(world)
    await world.deliver(await world.started(request))
    world.jira.move(world.issue, "Done", world.jira.me)

    record = await through(world, request, proposed(request))

    assert "posted" == record.outcome
    assert "Done" == world.jira.issues[world.issue].status


async def test_statuses_have_the_names_that_the_operator_gave():
    world = World(in_progress="Done", in_review="To Do")
    request = from_issue(world)
    await world.deliver(await world.started(request))
    assert "Done" == world.jira.issues[world.issue].status

    await world.deliver(await world.ended(proposed(request), request))

    assert "To Do" == world.jira.issues[world.issue].status


async def test_a_workflow_without_such_a_way_stops_nothing(world):
    world.jira.ways = ("Done",)
    request = from_issue(world)

    record = await through(world, request, proposed(request))

    assert "posted" == record.outcome
    assert 1 == len(world.jira.bodies(world.issue))
    assert "AI Ready" == world.jira.issues[world.issue].status


@pytest.mark.parametrize("error", [NotFound("404"), Forbidden("403")])
async def test_an_issue_that_takes_no_comment_still_gets_its_merge_request(world, error):
    request = from_issue(world)
    await world.deliver(await world.started(request))
    world.jira.fail_next = [error]

    await world.deliver(await world.ended(proposed(request), request))

    assert "posted" == (await published(world, request)).outcome
    assert 1 == len(made(world))


async def test_jira_being_away_is_waited_for(world):
    request = from_issue(world)
    await world.started(request)
    result = await world.ended(proposed(request), request)
    world.jira.fail_next = [Unavailable("503")]

    with pytest.raises(Temporary):
        await on_event(result, ports=world.ports())
    await world.deliver(result)

    assert (1, 1) == (len(made(world)), len(world.jira.bodies(world.issue)))


async def test_without_a_jira_the_merge_request_is_there_all_the_same(world):
    request = from_issue(world)
    world.jira = None

    record = await through(world, request, proposed(request))

    assert "posted" == record.outcome
    assert 1 == len(made(world))


async def test_a_kill_before_or_after_any_effect_ends_in_one_of_each():
    probe = World()
    request = from_issue(probe)
    fuse = Fuse()
    await whole(probe, request, probe.ports(fuse))
    expected = probe.jira.bodies(probe.issue)

    assert {"push", "create_merge_request", "add_comment", "transition"} <= set(fuse.names)
    for kill_at in range(1, fuse.count + 1):
        for when in ("before", "after"):
            where = f"killed {when} effect {kill_at}: {fuse.names[kill_at - 1]}"
            world = World()
            request = from_issue(world)
            dying = world.ports(Fuse(kill_at=kill_at, when=when))
            with pytest.raises(Killed):
                await whole(world, request, dying)
            await world.deliver(await world.started(request))
            await world.deliver(await world.ended(proposed(request), request))

            assert 1 == len(world.repository.commits), where
            assert 1 == len(made(world)), where
            assert expected == world.jira.bodies(world.issue), where
            assert "In Review" == world.jira.issues[world.issue].status, where
            assert "posted" == (await published(world, request)).outcome, where


@pytest.mark.parametrize("lost", ["create_merge_request", "add_comment", "transition"])
async def test_a_write_whose_answer_is_lost_is_not_done_twice(world, lost):
    request = from_issue(world)
    await world.deliver(await world.started(request))
    result = await world.ended(proposed(request), request)
    peer = world.gitlab if lost == "create_merge_request" else world.jira
    peer.lose_answers = [lost]

    with pytest.raises(Temporary, match="did not answer"):
        await on_event(result, ports=world.ports())
    await world.deliver(result)

    assert (1, 1) == (len(made(world)), len(world.jira.bodies(world.issue)))


async def test_a_merge_request_closed_by_a_person_meanwhile_is_not_made_again(world):
    request = from_issue(world)
    await world.deliver(await world.started(request))
    result = await world.ended(proposed(request), request)
    world.gitlab.lose_answers = ["create_merge_request"]
    with pytest.raises(Temporary):
        await on_event(result, ports=world.ports())
    held = world.gitlab.merge_requests[42, made(world)[0].iid]
    world.gitlab.change(held, state="closed")

    await world.deliver(result)

    assert 1 == len(made(world))
    assert 1 == len(world.jira.bodies(world.issue))


async def test_a_branch_of_somebody_else_is_left_alone_and_told(world):
    request = from_issue(world)
    world.gitlab.set_branch(42, f"agent/{world.issue}", "d" * 40)

    record = await through(world, request, proposed(request))

    assert ("refused", "branch taken") == (record.outcome, record.detail)
    assert [] == made(world)
    assert "holds other work" in world.jira.bodies(world.issue)[0]


async def test_a_refused_merge_request_is_told_with_the_branch(world):
    request = from_issue(world)
    await world.deliver(await world.started(request))
    result = await world.ended(proposed(request), request)

    class NoMergeRequests:
        def __getattr__(self, name):
            return getattr(world.gitlab, name)

        async def create_merge_request(self, *_, **__):
            raise GitLabForbidden("403 Forbidden")

    ports = world.ports()
    object.__setattr__(ports, "gitlab", NoMergeRequests())
    await on_event(result, ports=ports)

    record = await published(world, request)
    assert ("failed", "no merge request") == (record.outcome, record.detail)
    assert f"agent/{world.issue}" in world.jira.bodies(world.issue)[0]
    assert record.commit_sha


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (NothingToDo(task_id="", head_sha=BASE_SHA, summary="It is so."), "It is so."),
        (TaskFailed(task_id="", head_sha=BASE_SHA, reason="timeout"), "move the issue back"),
        (Refused(task_id="", head_sha=BASE_SHA, code="restricted_issue"), "security level"),
    ],
)
async def test_other_ends_are_a_comment_and_no_way_back(world, end, words):
    request = from_issue(world)
    end = msgspec.structs.replace(end, task_id=request.task_id)

    await through(world, request, end)

    [comment] = world.jira.bodies(world.issue)
    assert words in comment
    assert "In Progress" == world.jira.issues[world.issue].status


async def test_a_second_task_of_the_same_issue_gets_a_comment_of_its_own(world):
    longer = from_issue(world, task_id="coding-PROJ-1-101")
    nothing = NothingToDo(task_id=longer.task_id, head_sha=BASE_SHA, summary="First.")
    await through(world, longer, nothing)
    request = from_issue(world)

    await through(world, request, msgspec.structs.replace(nothing, task_id=request.task_id))

    assert 2 == len(world.jira.bodies(world.issue))


async def test_somebody_elses_comment_with_the_task_id_counts_for_nothing(world):
    request = from_issue(world)
    world.jira.comment(world.issue, f"What became of {request.task_id}?")

    await through(world, request, proposed(request))

    assert 2 == len(world.jira.bodies(world.issue))


async def test_a_push_that_the_server_declines_is_a_comment(world):
    request = from_issue(world)
    world.repository.fail_next = [push_errors.PushDeclined("no", said="commit message too short")]

    await through(world, request, proposed(request))

    assert "commit message too short" in world.jira.bodies(world.issue)[0]


async def test_a_jira_task_needs_few_calls(world):
    """At most 12 of GitLab and 6 of Jira over all services; the coder needs 4 of GitLab."""
    request = from_issue(world)
    ports = world.ports()
    await on_event(await world.started(request), ports=ports)
    await on_event(await world.ended(proposed(request), request), ports=ports)

    # Whose token it is, the real doors ask once per process.
    gitlab = [name for name in world.gitlab.calls if name != "current_user"]
    jira = [name for name in world.jira.calls if name != "current_user"]
    assert ["project", "file", "merge_requests_from", "create_merge_request"] == gitlab
    assert ["transition", "comments", "add_comment", "transition"] == jira
    # A transition is two requests: where the issue stands, and the move.
    assert 6 >= len(jira) + jira.count("transition")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**Done:** it \\_is\\_ so", "Done: it _is_ so"),
        ("*Shortened* 2 * 3 * 4", "Shortened 2 * 3 * 4"),
        ("`a\\_b` and\n```text\n**x** \\@\n```", "`a\\_b` and\n```text\n**x** \\@\n```"),
    ],
)
def test_markdown_becomes_plain_words_but_code_stays(text, shown):
    assert shown == unmarked(text)
