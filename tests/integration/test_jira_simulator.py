"""The simulated Jira by raw HTTP: behaviours J1 to J9 of Jira's API, in both dialects."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json

import aiohttp
import pytest
from aiohttp import web

from tests.simulators.jira import Status, Way, Workflow, running_jira
from tests.simulators.jira.simulator import document

pytestmark = pytest.mark.real

JQL = 'project in ("PROJ") AND status = "AI Ready" ORDER BY created ASC'


def basic(email, token):
    return {"Authorization": aiohttp.encode_basic_auth(email, token)}


class Scene:
    """A Jira with one project, and an HTTP session of the bot."""

    def __init__(self, jira, session) -> None:
        self.jira, self.session = jira, session
        self.project = jira.create_project("PROJ")
        self.base = f"{jira.url}/rest/api/{2 if jira.settings.data_center else 3}"

    async def get(self, path, **query):
        async with self.session.get(self.base + path, params=query) as answer:
            return answer.status, await answer.json()

    async def post(self, path, body):
        async with self.session.post(self.base + path, json=body) as answer:
            return answer.status, await answer.json() if answer.status != 204 else None

    async def search(self, jql=JQL, **query):
        return await self.get("/search/jql", jql=jql, **query)


@pytest.fixture
async def cloud():
    async with running_jira() as jira:
        headers = basic(jira.email, jira.api_token)
        async with aiohttp.ClientSession(headers=headers) as session:
            yield Scene(jira, session)


@pytest.fixture
async def data_center():
    async with running_jira(data_center=True) as jira:
        headers = {"Authorization": f"Bearer {jira.bearer_token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield Scene(jira, session)


async def test_j1_the_old_search_is_gone(cloud):
    for status, answer in (
        await cloud.get("/search", jql=JQL),
        await cloud.post("/search", {"jql": JQL}),
    ):
        assert status == 410
        assert "/rest/api/3/search/jql" in answer["errorMessages"][0]


async def test_j2_the_search_gives_ids_only_unless_fields_are_named(cloud):
    issue = cloud.jira.create_issue(cloud.project, "Greet", status="AI Ready")

    assert (200, {"issues": [{"id": issue.id}], "isLast": True}) == await cloud.search()

    _, answer = await cloud.search(fields="summary,status,nonsense")
    [found] = answer["issues"]
    assert (found["key"], set(found["fields"])) == ("PROJ-1", {"summary", "status"})
    assert found["fields"]["status"]["name"] == "AI Ready"


async def test_j2_the_search_may_be_posted(cloud):
    cloud.jira.create_issue(cloud.project, status="AI Ready")
    status, answer = await cloud.post("/search/jql", {"jql": JQL, "fields": ["summary"]})
    assert (status, len(answer["issues"])) == (200, 1)


async def test_the_search_lags_unless_issues_are_reconciled(cloud):
    issue = cloud.jira.create_issue(cloud.project, status="AI Ready")
    cloud.jira.advance(60)
    cloud.jira.move(issue, "In Progress")
    cloud.jira.settings.search_lag = 30

    assert [{"id": issue.id}] == (await cloud.search())[1]["issues"]
    assert (await cloud.search(reconcileIssues=issue.id))[1]["issues"] == []
    cloud.jira.advance(31)
    assert (await cloud.search())[1]["issues"] == []


@pytest.mark.parametrize("jql", ["", "ORDER BY created DESC"])
async def test_j3_an_unbounded_query_is_refused(cloud, jql):
    status, answer = await cloud.search(jql)
    assert (status, "Unbounded" in answer["errorMessages"][0]) == (400, True)


@pytest.mark.parametrize(
    ("jql", "told"),
    [
        ("project = NOPE", "'NOPE' does not exist"),
        ('project = PROJ AND status = "Nowhere"', "'Nowhere' does not exist"),
        ("project = PROJ OR project = X", "unexpected 'OR'"),
        ("project = PROJ AND color = red", "'color' does not exist"),
        ('project = "PROJ', "unexpected"),
        ("project in (PROJ", "unexpected"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(cloud, jql, told):
    status, answer = await cloud.search(jql)
    assert (status, told in answer["errorMessages"][0]) == (400, True)


@pytest.mark.parametrize(("ago", "found"), [(60, 1), (7200, 0)])
async def test_a_query_bounded_by_time_counts_back_from_now(cloud, ago, found):
    cloud.jira.create_issue(cloud.project, status="AI Ready")
    cloud.jira.advance(ago)
    _, answer = await cloud.search('project = PROJ AND updated >= -30m AND status = "AI Ready"')
    assert len(answer["issues"]) == found


async def test_j4_the_last_page_has_no_token_and_no_total(cloud):
    for _ in range(5):
        cloud.jira.create_issue(cloud.project, status="AI Ready")
    sizes, token = [], {}
    while token is not None:
        _, answer = await cloud.search(maxResults="2", **token)
        sizes.append(len(answer["issues"]))
        assert "total" not in answer
        assert answer["isLast"] is ("nextPageToken" not in answer)
        token = None if answer["isLast"] else {"nextPageToken": answer["nextPageToken"]}
    assert sizes == [2, 2, 1]


async def test_j4_without_the_token_the_first_page_comes_again(cloud):
    for _ in range(3):
        cloud.jira.create_issue(cloud.project, status="AI Ready")
    first = (await cloud.search(maxResults="2"))[1]
    again = (await cloud.search(maxResults="2"))[1]
    assert first["issues"] == again["issues"]


async def test_j4_a_token_is_good_for_its_query_and_seven_days(cloud):
    for _ in range(3):
        cloud.jira.create_issue(cloud.project, status="AI Ready")
    token = (await cloud.search(maxResults="2"))[1]["nextPageToken"]

    assert (await cloud.search("project = PROJ", nextPageToken=token))[0] == 400
    assert (await cloud.search(nextPageToken="garbage"))[0] == 400
    cloud.jira.advance(8 * 24 * 3600)
    assert (await cloud.search(nextPageToken=token))[0] == 400


async def test_j4_the_server_may_return_fewer_than_asked(cloud):
    cloud.jira.settings.page_cap = 1
    for _ in range(2):
        cloud.jira.create_issue(cloud.project, status="AI Ready")
    _, answer = await cloud.search(maxResults="100")
    assert (len(answer["issues"]), answer["isLast"]) == (1, False)


async def test_j5_a_comment_is_a_document_and_no_string(cloud):
    issue = cloud.jira.create_issue(cloud.project)
    path = f"/issue/{issue.key}/comment"

    status, answer = await cloud.post(path, {"body": "Hello"})
    assert (status, "Atlassian Document" in answer["errors"]["comment"]) == (400, True)
    status, answer = await cloud.post(path, {"body": document("Hello")})
    assert (status, answer["author"]["accountId"]) == (201, cloud.jira.bot.account_id)
    assert (await cloud.get(path))[1]["comments"] == [answer]


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "outside a paragraph"}],
        [{"type": "paragraph", "content": [{"type": "text", "text": ""}]}],
        [
            {
                "type": "paragraph",
                "content": [{"type": "text", "text": "x", "marks": [{"type": "?"}]}],
            }
        ],
        [{"type": "paragraph", "content": [{"type": "paragraph"}]}],
        [{"type": "nonsense"}],
        [],
    ],
)
async def test_j5_a_document_must_keep_to_the_schema(cloud, content):
    issue = cloud.jira.create_issue(cloud.project)
    body = {"type": "doc", "version": 1, "content": content}
    assert (await cloud.post(f"/issue/{issue.key}/comment", {"body": body}))[0] == 400
    assert issue.comments == []


async def test_j6_a_transition_is_204_and_written_into_the_history(cloud):
    issue = cloud.jira.create_issue(cloud.project)
    path = f"/issue/{issue.key}/transitions"
    ways = {way["to"]["name"]: way["id"] for way in (await cloud.get(path))[1]["transitions"]}

    assert (204, None) == await cloud.post(path, {"transition": {"id": ways["In Progress"]}})

    assert issue.status.name == "In Progress"
    _, history = await cloud.get(f"/issue/{issue.key}/changelog")
    [change] = history["values"]
    assert (change["author"]["accountId"], history["isLast"]) == (cloud.jira.bot.account_id, True)
    assert [(i["fieldId"], i["fromString"], i["toString"]) for i in change["items"]] == [
        ("status", "To Do", "In Progress")
    ]


async def test_j6_what_the_workflow_does_not_offer_is_400(cloud):
    workflow = Workflow(
        (Status("1", "Open"), Status("2", "Shut")),
        (Way("5", "Shut it", "Shut", source="Open", required=("resolution",)),),
    )
    project = cloud.jira.create_project("FLOW", workflow=workflow)
    issue = cloud.jira.create_issue(project, status="Open")
    path = f"/issue/{issue.key}/transitions"

    assert (await cloud.post(path, {}))[0] == 400
    assert (await cloud.post(path, {"transition": {"id": "11"}}))[0] == 400
    status, answer = await cloud.post(path, {"transition": {"id": "5"}})
    assert (status, answer["errors"]) == (400, {"resolution": "Resolution is required."})
    body = {"transition": {"id": "5"}, "fields": {"resolution": {"name": "Done"}}}
    assert (await cloud.post(path, body))[0] == 204
    assert (await cloud.get(path))[1]["transitions"] == []


async def test_j6_a_conflict_is_409_and_changes_nothing(cloud):
    issue = cloud.jira.create_issue(cloud.project)
    cloud.jira.settings.conflicts = 1
    way = (await cloud.get(f"/issue/{issue.key}/transitions"))[1]["transitions"][-1]["id"]
    body = {"transition": {"id": way}}
    assert (await cloud.post(f"/issue/{issue.key}/transitions", body))[0] == 409
    assert issue.changes == []
    assert (await cloud.post(f"/issue/{issue.key}/transitions", body))[0] == 204


async def test_j6_ids_of_transitions_differ_from_project_to_project(cloud):
    other = cloud.jira.create_project("OTHER")
    ids = []
    for project in (cloud.project, other):
        issue = cloud.jira.create_issue(project)
        _, answer = await cloud.get(f"/issue/{issue.key}", expand="transitions", fields="status")
        ids.append({way["id"] for way in answer["transitions"]})
    assert not ids[0] & ids[1]


async def test_j7_a_burst_is_429_with_a_reason_and_a_time(cloud):
    cloud.jira.settings.burst_limit = 2
    answers = [await cloud.session.get(f"{cloud.base}/myself") for _ in range(3)]
    last = answers[-1]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert last.headers["RateLimit-Reason"] == "jira-burst-based"
    assert 1 <= int(last.headers["Retry-After"]) <= 10
    assert last.headers["X-RateLimit-Remaining"] == "0"
    cloud.jira.advance(int(last.headers["Retry-After"]) + 1)
    assert (await cloud.get("/myself"))[0] == 200


async def test_j7_writes_to_one_issue_are_limited_alone(cloud):
    cloud.jira.settings.issue_write_limit = 1
    one, other = (cloud.jira.create_issue(cloud.project) for _ in range(2))
    body = {"body": document("x")}
    statuses = [
        (await cloud.post(f"/issue/{issue.key}/comment", body))[0] for issue in (one, one, other)
    ]
    assert statuses == [201, 429, 201]
    assert (await cloud.get(f"/issue/{one.key}"))[0] == 200


async def test_j8_a_webhook_that_failed_comes_again_with_the_same_identifier():
    received, statuses = [], [500, 200]

    async def take(request):
        received.append((dict(request.headers), await request.read()))
        return web.Response(status=statuses[len(received) - 1])

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        async with running_jira(webhook_url=url, webhook_secret="s") as jira:
            issue = jira.create_issue(jira.create_project("PROJ"))
            async with asyncio.timeout(10):
                await jira.webhooks.settle()
            assert [[500, 200]] == [delivery.statuses for delivery in jira.webhooks.deliveries]
    finally:
        await runner.cleanup()

    (first, body), (second, same) = received
    name = "X-Atlassian-Webhook-Identifier"
    assert (first[name], body) == (second[name], same)
    assert "X-Atlassian-Webhook-Retry" not in first
    assert second["X-Atlassian-Webhook-Retry"] == "1"
    digest = hmac.new(b"s", body, hashlib.sha256).hexdigest()
    assert first["X-Hub-Signature"] == f"sha256={digest}"
    assert json.loads(body)["issue"]["key"] == issue.key


async def test_j9_data_center_speaks_v2_in_strings_with_a_bearer_token(data_center):
    scene = data_center
    issue = scene.jira.create_issue(scene.project, description="h1. Title", status="AI Ready")
    path = f"/issue/{issue.key}/comment"

    assert (await scene.get("/myself"))[1]["name"] == "copilot-agent"
    assert (await scene.get(f"/issue/{issue.key}"))[1]["fields"]["description"] == "h1. Title"
    assert (await scene.post(path, {"body": document("Hello")}))[0] == 400
    status, made = await scene.post(path, {"body": "Hello"})
    assert (status, made["body"], "accountId" in made["author"]) == (201, "Hello", False)


async def test_j9_data_center_counts_pages_by_offset(data_center):
    for _ in range(5):
        data_center.jira.create_issue(data_center.project, status="AI Ready")
    _, first = await data_center.get("/search", jql=JQL, maxResults="2", fields="summary")
    _, last = await data_center.get("/search", jql=JQL, startAt="4", fields="summary")

    assert (first["total"], first["startAt"], len(first["issues"])) == (5, 0, 2)
    assert [issue["key"] for issue in last["issues"]] == ["PROJ-5"]


async def test_j9_data_center_has_no_v3_and_takes_no_password(data_center):
    jira = data_center.jira
    async with data_center.session.get(f"{jira.url}/rest/api/3/myself") as answer:
        assert (answer.status, answer.content_type) == (404, "text/html")
    headers = basic(jira.email, jira.api_token)
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{data_center.base}/myself") as answer,
    ):
        assert answer.status == 401


async def test_an_expired_token_finds_nothing_and_only_a_header_says_why(cloud):
    issue = cloud.jira.create_issue(cloud.project, status="AI Ready")
    headers = basic(cloud.jira.email, "expired")
    async with aiohttp.ClientSession(headers=headers) as session:
        for path, status in (
            ("/search/jql?jql=project%3DPROJ", 200),
            (f"/issue/{issue.key}", 404),
            ("/myself", 401),
        ):
            answer = await session.get(cloud.base + path)
            assert answer.status == status
            assert answer.headers["X-Seraph-LoginReason"] == "AUTHENTICATED_FAILED"


async def test_what_is_hidden_looks_as_if_it_were_not_there(cloud):
    secret = cloud.jira.create_issue(cloud.jira.create_project("SECRET", hidden=True))
    for key in (secret.key, "PROJ-99"):
        status, answer = await cloud.get(f"/issue/{key}")
        assert (status, "permission" in answer["errorMessages"][0]) == (404, True)


async def test_the_log_and_the_faults_see_each_call(cloud):
    cloud.jira.faults.add(path="/myself", status=503, body="busy")
    async with cloud.session.get(f"{cloud.base}/myself") as answer:
        assert answer.status == 503
    assert (await cloud.get("/myself"))[0] == 200
    assert [(entry.method, entry.status) for entry in cloud.jira.requests] == [
        ("GET", 503),
        ("GET", 200),
    ]


async def test_the_page_of_an_issue_shows_its_status_and_comments_and_moves_it(cloud):
    issue = cloud.jira.create_issue(cloud.project, "Greet <b>", description="Be *kind*.")
    cloud.jira.comment(issue, "<script>alert(1)</script>")
    url = f"{cloud.jira.url}/browse/{issue.key}"
    way = issue.project.workflow.ways[1].id

    async with cloud.session.post(f"{url}/move", data={"way": way}) as answer:
        text = await answer.text()

    assert (issue.status.name, issue.changes[0].author.name) == ("AI Ready", "alice")
    assert "Greet &lt;b&gt;" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "To Do → AI Ready" in text
    async with cloud.session.get(f"{url}/live") as answer:
        assert "AI Ready" in (await answer.json())["html"]
    async with cloud.session.get(cloud.jira.url) as answer:
        assert "PROJ-1" in await answer.text()


async def test_the_statuses_of_a_project_are_listed_by_issue_type(cloud, data_center):
    for scene in (cloud, data_center):
        status, kinds = await scene.get("/project/PROJ/statuses")
        missing, told = await scene.get("/project/NONE/statuses")

        assert 200 == status
        assert {"Story", "Task"} == {kind["name"] for kind in kinds}
        assert "AI Ready" in {each["name"] for each in kinds[0]["statuses"]}
        assert 404 == missing
        assert ["No project could be found with key 'NONE'."] == told["errorMessages"]
