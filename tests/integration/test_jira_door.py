"""The Jira door against the simulated Jira, over HTTP, in both dialects."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from libs.common.errors import SettingsError
from libs.common.jira.adf_writing import from_text
from libs.common.jira.client import JiraClient
from libs.common.jira.errors import (
    Forbidden,
    Invalid,
    JiraError,
    NotFound,
    NoTransition,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from libs.common.jira.server import JiraServer
from libs.common.jira.status_change import CREATED, entered
from tests.contract.jira_door import READY, JiraDoorContract, ready
from tests.simulators.jira import Status, Way, Workflow, running_jira

HTML = "<html><body>Bad Gateway</body></html>"
HELLO = from_text("hello")

pytestmark = pytest.mark.real


def server_of(jira, **changes) -> JiraServer:
    login = (
        {"bearer_token": jira.bearer_token}
        if jira.settings.data_center
        else {"email": jira.email, "api_token": jira.api_token}
    )
    return JiraServer(**({"url": jira.url, "read_timeout": 10.0} | login | changes))


class SimulatedRig:
    def __init__(self, jira, door) -> None:
        self.jira, self.door = jira, door
        self.project = jira.create_project("PROJ")
        cloud = not jira.settings.data_center
        self.bot_id = jira.bot.account_id if cloud else jira.bot.name
        self.alice_id = jira.alice.account_id if cloud else jira.alice.name

    def issue(self, issue_key):
        return self.jira.world.issues[issue_key]

    def create(self, summary="Greet", *, status="To Do", text=""):
        made = self.jira.create_issue(
            self.project, summary, status=status, description=text or None
        )
        return made.key

    def move(self, issue_key, status):
        return self.jira.move(self.issue(issue_key), status)

    def edit(self, issue_key, summary):
        self.jira.edit(self.issue(issue_key), summary=summary)

    def comment(self, issue_key, text, *, restricted=False):
        role = "Administrators" if restricted else None
        self.jira.comment(self.issue(issue_key), text, visibility=role)

    def age(self, seconds):
        self.jira.advance(seconds)

    def restrict_ways(self):
        workflow = self.project.workflow
        workflow.ways = tuple(way for way in workflow.ways if way.target == "Done")

    def client(self, **changes) -> JiraClient:
        return JiraClient(server_of(self.jira, **changes), pauses=(0.0, 0.0))


async def simulated(*, data_center):
    async with (
        running_jira(data_center=data_center) as jira,
        JiraClient(server_of(jira), pauses=(0.0, 0.0)) as door,
    ):
        yield SimulatedRig(jira, door)


@pytest.fixture
async def cloud():
    async for rig in simulated(data_center=False):
        yield rig


@pytest.fixture(params=["cloud", "data-center"])
async def both(request):
    async for rig in simulated(data_center=request.param == "data-center"):
        yield rig


class TestJiraClient(JiraDoorContract):
    @pytest.fixture
    def rig(self, both):
        return both


async def test_every_page_of_a_search_is_read_and_the_token_forwarded(cloud):
    keys = [cloud.create(status=READY) for _ in range(7)]
    cloud.jira.settings.page_cap = 3

    assert [issue.key for issue in await ready(cloud)] == keys
    asked = [entry.query for entry in cloud.jira.requests]
    assert ["nextPageToken" in query for query in asked] == [False, True, True]
    assert all("summary" in query["fields"] for query in asked)


async def test_a_search_that_repeats_its_page_ends(cloud):
    for _ in range(3):
        cloud.create(status=READY)
    cloud.jira.settings.page_cap = 2
    cloud.jira.settings.repeat_page = True

    with pytest.raises(Unavailable, match="again and again"):
        await ready(cloud)


async def test_every_page_of_a_search_comments_and_history_is_read(both):
    key = both.create()
    keys = [both.create(status=READY) for _ in range(130)]
    for number in range(110):
        both.comment(key, f"comment {number}")
        both.edit(key, f"Greet {number} people")
    change = both.move(key, READY)

    assert [issue.key for issue in await ready(both)] == [key, *keys]
    assert len(await both.door.comments(key)) == 110
    found = entered(await both.door.issue(key), await both.door.changelog(key), READY)
    assert found is not None
    assert found.id == change


async def test_a_search_that_lags_is_corrected_by_looking(cloud):
    key = cloud.create(status=READY)
    cloud.jira.advance(60)
    cloud.move(key, "In Progress")
    cloud.jira.settings.search_lag = 30

    assert [issue.key for issue in await ready(cloud)] == [key]
    fresh = await cloud.door.issue(key)
    assert entered(fresh, await cloud.door.changelog(key), READY) is None


async def test_a_status_that_was_renamed_still_has_its_history(both):
    before = both.create()
    change = both.move(before, "AI Ready")
    both.jira.rename_status(both.project, "AI Ready", "Robot")

    found = entered(await both.door.issue(before), await both.door.changelog(before), "Robot")
    assert found is not None
    assert found.id == change


async def test_sr_11_a_change_by_nobody_has_no_author(both):
    key = both.create()
    both.jira.move_by_nobody(both.issue(key), READY)

    found = entered(await both.door.issue(key), await both.door.changelog(key), READY)
    assert found is not None
    assert (found.id == CREATED, found.author.id) == (False, "")


async def test_sr_10_an_issue_that_is_hidden_from_some_says_so(both):
    made = both.jira.create_issue(both.project, security="Staff only")
    assert (await both.door.issue(made.key)).security_level == "Staff only"


async def test_a_transition_takes_two_calls_and_none_of_them_twice(both):
    key = both.create(status=READY)

    await both.door.transition(key, "In Progress")
    assert [entry.method for entry in both.jira.requests] == ["GET", "POST"]
    both.jira.requests.clear()
    await both.door.transition(key, "In Progress")
    assert [entry.method for entry in both.jira.requests] == ["GET"]


async def test_a_task_takes_six_calls_of_jira(both):
    key = both.create(status=READY)

    await both.door.transition(key, "In Progress")
    await both.door.comments(key)
    await both.door.add_comment(key, HELLO)
    await both.door.transition(key, "In Review")

    assert len(both.jira.requests) == 6


async def test_a_transition_by_its_own_name_when_no_status_is_called_so(cloud):
    workflow = Workflow(
        (Status("1", "Open"), Status("2", "Arbeit"), Status("3", "Fertig")),
        (
            Way("5", "Start", "Arbeit", screen=True),
            Way("6", "Arbeit", "Fertig"),
            Way("7", "Start quietly", "Arbeit"),
        ),
    )
    project = cloud.jira.create_project("FLOW", workflow=workflow)
    first = cloud.jira.create_issue(project, status="Open")
    second = cloud.jira.create_issue(project, status="Open")

    await cloud.door.transition(first.key, "Start quietly")
    await cloud.door.transition(second.key, "arbeit")
    assert (first.status.name, second.status.name) == ("Arbeit", "Arbeit")


async def test_a_transition_that_jira_refuses_is_explained(cloud):
    workflow = Workflow(
        (Status("1", "Open"), Status("2", "Shut")),
        (Way("5", "Shut", "Shut", required=("resolution",)),),
    )
    project = cloud.jira.create_project("FLOW", workflow=workflow)
    issue = cloud.jira.create_issue(project, status="Open")

    with pytest.raises(NoTransition, match=r"'Open' to 'Shut'.*Resolution is required"):
        await cloud.door.transition(issue.key, "Shut")


async def test_a_transition_in_conflict_is_worth_another_try(both):
    key = both.create(status=READY)
    both.jira.settings.conflicts = 1

    with pytest.raises(Unavailable, match="somebody else"):
        await both.door.transition(key, "Done")
    assert await both.door.transition(key, "Done") is True


async def test_a_conflict_with_somebody_who_moved_it_there_is_no_failure(both):
    key = both.create(status=READY)
    body = {"errorMessages": ["conflict"], "errors": {}}
    both.jira.faults.add(method="POST", commit=True, status=409, body=body)

    assert await both.door.transition(key, "Done") is False
    assert both.issue(key).status.name == "Done"


async def test_a_comment_on_data_center_is_escaped_markup():
    async for rig in simulated(data_center=True):
        key = rig.create()
        text = "See [the change](https://gitlab.test/a_b/-/merge_requests/1) [~alice] {x}\\!"
        made = await rig.door.add_comment(key, from_text(f"{text}\n\n```\n{{noformat}} *x*\n```"))

        [stored] = rig.issue(key).comments
        assert "[the change|https://gitlab.test/a_b/-/merge_requests/1]" in stored.body
        assert "\\[\\~alice\\] \\{x\\}&#92;\\!" in stored.body
        assert "{noformat}\n{ noformat} *x*\n{noformat}" in stored.body
        assert "[~alice] {x}\\!" in made.body


async def test_a_comment_on_cloud_is_a_document_that_jira_takes(cloud):
    key = cloud.create()
    text = "One `code` and https://gitlab.test/x.\n\n```python\nprint(1)\n```\nlast @alice\nline"
    await cloud.door.add_comment(key, from_text(text))

    [stored] = cloud.issue(key).comments
    assert [node["type"] for node in stored.body["content"]] == [
        "paragraph",
        "codeBlock",
        "paragraph",
    ]
    assert (await cloud.door.comments(key))[0].body == text.replace("```\nlast", "```\n\nlast")


@pytest.mark.parametrize("fault", [{"status": 502, "body": HTML}, {"drop": True}])
async def test_a_read_is_tried_three_times(both, fault):
    key = both.create()
    both.jira.faults.add(path="/issue/", times=2, **fault)
    assert (await both.door.issue(key)).key == key

    both.jira.faults.add(path="/issue/", times=3, **fault)
    with pytest.raises(Unavailable) as caught:
        await both.door.issue(key)
    assert (caught.value.peer, caught.value.maybe_done) == ("jira", False)


@pytest.mark.parametrize("fault", [{"status": 502, "body": HTML}, {"drop": True}])
async def test_a_write_is_sent_once_and_may_have_been_done(both, fault):
    key = both.create()
    both.jira.faults.add(method="POST", commit=True, **fault)

    with pytest.raises(Unavailable) as caught:
        await both.door.add_comment(key, HELLO)

    assert caught.value.maybe_done
    assert len(both.jira.log.matching("POST", "/comment")) == 1
    assert len(both.issue(key).comments) == 1


async def test_a_write_without_an_answer_times_out_and_may_have_been_done(cloud):
    key = cloud.create()
    cloud.jira.faults.add(method="POST", commit=True, hang=True)
    async with cloud.client(read_timeout=0.3) as door:
        with pytest.raises(TimedOut) as caught:
            await door.add_comment(key, HELLO)

    assert (caught.value.maybe_done, caught.value.peer) == (True, "jira")
    assert len(cloud.issue(key).comments) == 1


async def test_one_call_ends_in_time_whatever_trickles_in(cloud):
    cloud.jira.faults.add(hang=True, times=3)
    async with cloud.client(total_timeout=0.2) as door:
        with pytest.raises(TimedOut):
            await door.issue(cloud.create())


async def test_a_cancelled_write_is_over_before_its_caller_goes_on(cloud):
    key = cloud.create()
    fault = cloud.jira.faults.add(method="POST", delay=0.3)
    writing = asyncio.create_task(cloud.door.add_comment(key, HELLO))
    async with asyncio.timeout(5):
        while fault.times:  # noqa: ASYNC110  # the simulator tells nobody when a request arrives
            await asyncio.sleep(0.01)

    writing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await writing
    assert len(cloud.issue(key).comments) == 1


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({"Retry-After": "17", "RateLimit-Reason": "jira-burst-based"}, 17),
        ({"Retry-After": "86400", "RateLimit-Reason": "jira-burst-based"}, 300),
        ({"RateLimit-Reason": "jira-burst-based"}, 30),
    ],
)
async def test_too_many_requests_is_a_wait_and_no_second_try(both, headers, delay):
    key = both.create()
    both.jira.faults.add(status=429, headers=headers, times=9)

    with pytest.raises(RateLimited, match="jira-burst-based") as caught:
        await both.door.issue(key)
    assert (caught.value.delay, caught.value.peer) == (delay, "jira")
    assert len(both.jira.requests) == 1


async def test_the_limit_of_writes_to_one_issue_is_a_wait(cloud):
    cloud.jira.settings.issue_write_limit = 1
    key = cloud.create()
    await cloud.door.add_comment(key, HELLO)
    with pytest.raises(RateLimited, match="jira-per-issue-on-write"):
        await cloud.door.add_comment(key, HELLO)


async def test_a_wrong_token_waits_for_an_operator(both):
    key = both.create()
    cloud = not both.jira.settings.data_center
    name = "api_token" if cloud else "bearer_token"
    async with both.client(**{name: "wrong"}) as door:
        for call in (door.current_user(), door.issue(key), door.add_comment(key, HELLO)):
            with pytest.raises(Unauthorized, match=f"JIRA_{name.upper()}") as caught:
                await call
            assert caught.value.delay == 60
    assert both.issue(key).comments == []


async def test_an_expired_token_is_no_empty_search(cloud):
    cloud.create(status=READY)
    async with cloud.client(api_token="expired") as door:
        with pytest.raises(Unauthorized):
            [issue async for issue in door.ready_issues(["PROJ"], READY)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (403, Forbidden),
        (404, NotFound),
        (410, Invalid),
        (413, Invalid),
        (422, Invalid),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
async def test_each_refusal_has_its_kind_and_jira_s_words(both, status, kind):
    key = both.create()
    body = {"errorMessages": ["because"], "errors": {"field": "of this"}}
    both.jira.faults.add(status=status, body=body, times=9)

    with pytest.raises(kind, match=f"{status}: because field: of this") as caught:
        await both.door.add_comment(key, HELLO)
    assert caught.value.status == status


@pytest.mark.parametrize("status", [200, 403, 404])
async def test_a_page_of_a_proxy_says_nothing_about_the_issue(both, status):
    key = both.create()
    both.jira.faults.add(status=status, body=HTML, times=9)
    with pytest.raises(Unavailable):
        await both.door.issue(key)
    with pytest.raises(Unavailable):
        await both.door.comments(key)


@pytest.mark.parametrize(
    "body", [[], {}, {"key": 5}, {"key": "PROJ-1/.."}, "not json", ["x"], {"issues": "x"}]
)
async def test_an_answer_of_another_shape_is_no_answer(both, body):
    key = both.create()
    headers = {"Content-Type": "application/json"}
    both.jira.faults.add(status=200, body=body, headers=headers, times=9)
    with pytest.raises(Unavailable):
        await both.door.issue(key)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_sr_04_a_redirect_to_another_host_does_not_carry_the_token(both, status):
    key = both.create()
    async with running_jira() as other:
        location = {"Location": f"{other.url}/rest/api/3/myself"}
        both.jira.faults.add(status=status, headers=location, times=9)
        with pytest.raises(Unavailable, match="JIRA_URL"):
            await both.door.issue(key)
        with pytest.raises(Unavailable, match="JIRA_URL"):
            await both.door.add_comment(key, HELLO)
        assert other.requests == []


async def test_nobody_listening_is_away():
    async with running_jira() as gone:
        server = server_of(gone)
    async with JiraClient(server, pauses=(0.0,)) as door:
        with pytest.raises(Unavailable, match="not reachable"):
            await door.current_user()
        with pytest.raises(Unavailable) as caught:
            await door.add_comment("PROJ-1", HELLO)
    assert not caught.value.maybe_done


async def test_a_proxy_of_the_environment_does_not_see_the_token(cloud, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with cloud.client() as door:
        assert (await door.current_user()).id == cloud.bot_id


async def test_a_context_path_is_part_of_every_address():
    server = JiraServer(url="https://jira.example/jira/", bearer_token="pat")
    async with JiraClient(server) as door:
        request = door._http._http.build_request("GET", "/myself")
    assert str(request.url) == "https://jira.example/jira/rest/api/2/myself"


async def test_sr_37_no_failure_shows_the_token(both, caplog):
    caplog.set_level(logging.DEBUG)
    key, secrets = both.create(), server_of(both.jira).secrets
    texts = [repr(both.door), repr(both.door._server), repr(both.door._http._http.headers)]
    for secret in secrets:
        for fault in (
            {"status": 400, "body": {"errorMessages": [secret], "errors": {secret: secret}}},
            {"status": 401, "body": {"message": secret}},
            {"status": 429, "body": secret, "headers": {"RateLimit-Reason": secret}},
            {"status": 500, "body": secret},
            {"status": 302, "headers": {"Location": f"http://x:{secret}@127.0.0.1:1"}},
            {"status": 200, "body": secret},
            {"drop": True},
        ):
            both.jira.faults.clear()
            both.jira.faults.add(times=9, **fault)
            for call in (both.door.issue(key), both.door.add_comment(key, HELLO)):
                with pytest.raises(JiraError) as caught:
                    await call
                error = caught.value
                texts += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
    asked = [f"{entry.path} {entry.query}" for entry in both.jira.requests]
    # What the simulator itself writes about its faults is not ours.
    logged = [r.getMessage() for r in caplog.records if r.name.startswith(("httpx", "libs"))]

    assert [t for t in [*texts, *asked, *logged] if any(s in t for s in secrets)] == []


async def test_calls_run_side_by_side(both):
    key = both.create()
    found = await asyncio.gather(*(both.door.issue(key) for _ in range(30)))
    assert {issue.key for issue in found} == {key}


async def test_a_search_can_be_bounded_by_less_than_a_minute(both):
    both.create(status=READY)
    assert len(await ready(both, updated_within=timedelta(seconds=1))) == 1


CLOUD = {"url": "https://jira.example", "email": "a@example.com", "api_token": "ATATT3x"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"url": "http://jira.example"}, "JIRA_URL"),
        ({"url": "jira.example"}, "JIRA_URL"),
        ({"url": "https://a:b@jira.example"}, "JIRA_URL"),
        ({"url": "https://jira.example/?x=1"}, "JIRA_URL"),
        ({"url": "https://[jira"}, "JIRA_URL"),
        ({"email": ""}, "JIRA_EMAIL"),
        ({"email": "a:b@example.com"}, "JIRA_EMAIL"),
        ({"api_token": ""}, "JIRA_API_TOKEN"),
        ({"api_token": "two\nlines"}, "JIRA_API_TOKEN"),
        ({"bearer_token": "pat"}, "JIRA_BEARER_TOKEN"),
        ({"ca_bundle": "/nowhere.pem"}, "CA_BUNDLE"),
    ],
)
async def test_a_server_that_cannot_work_is_refused_at_start(changes, named):
    with pytest.raises(SettingsError, match=named) as caught:
        JiraClient(JiraServer(**(CLOUD | changes)))
    assert "lines" not in str(caught.value).replace("line ends", "")
