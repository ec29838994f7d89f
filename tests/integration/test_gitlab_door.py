"""The GitLab door against the simulated GitLab, over HTTP."""

from __future__ import annotations

import asyncio
import logging

import pytest

from libs.common.errors import SettingsError
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.errors import (
    Forbidden,
    GitLabError,
    NotFound,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from libs.common.gitlab.server import Server
from tests.contract.gitlab_door import BASE_TEXT, HEAD_TEXT, GitLabDoorContract
from tests.contract.gitlab_door_commands import GitLabCommandsContract
from tests.simulators.gitlab import running_gitlab

HTML = "<html><body>Bad Gateway</body></html>"


class SimulatedRig:
    def __init__(self, gitlab, door, merge_request) -> None:
        self.gitlab, self.door, self.merge_request = gitlab, door, merge_request
        self.project = merge_request.project
        self.project_id, self.iid = self.project.id, merge_request.iid
        self.bot_id = gitlab.bot.id

    @property
    def key(self):
        return self.project_id, self.iid

    async def push(self) -> str:
        files = {"a.py": HEAD_TEXT + "five\n"}
        return await self.gitlab.push(self.project, branch="topic", files=files)

    async def close(self) -> None:
        await self.gitlab.close(self.merge_request)

    async def comment(self, text: str) -> None:
        await self.gitlab.comment(self.merge_request, text)

    def switch_off_drafts(self, status: int) -> None:
        self.gitlab.settings.drafts_status = status

    def add_member(self, username: str, access_level: int) -> int:
        user = self.gitlab.add_user(username, project=self.project, access_level=access_level)
        return user.id

    def add_stranger(self, username: str) -> int:
        return self.gitlab.add_user(username).id

    def protect(self, pattern: str) -> None:
        self.gitlab.protect_branch(self.project, pattern)

    def forbid_protected_branches(self) -> None:
        self.gitlab.add_member(self.project, self.gitlab.bot, 20)

    async def push_branch(self, name: str, path: str, content: bytes) -> str:
        return await self.gitlab.push(self.project, branch=name, files={path: content})

    def client(self, **changes: object) -> GitLabClient:
        given = {"url": self.gitlab.url, "token": self.gitlab.write_token, "read_timeout": 10.0}
        return GitLabClient(Server(**(given | changes)), pauses=(0.0, 0.0))


@pytest.fixture
async def rig(tmp_path):
    async with running_gitlab(tmp_path / "gitlab") as gitlab:
        project = gitlab.create_project("group/project", files={"a.py": BASE_TEXT})
        gitlab.commit(project, branch="topic", files={"a.py": HEAD_TEXT}, message="Change a.py")
        opened = await gitlab.open_merge_request(
            project, source_branch="topic", title="Change a.py", description="Because."
        )
        server = Server(url=gitlab.url, token=gitlab.write_token)
        async with GitLabClient(server, pauses=(0.0, 0.0)) as door:
            gitlab.log.entries.clear()
            yield SimulatedRig(gitlab, door, opened)


@pytest.mark.real
class TestGitLabClient(GitLabDoorContract, GitLabCommandsContract):
    @pytest.fixture
    def rig(self, rig):
        return rig


pytestmark = pytest.mark.real


async def test_every_page_is_read_also_when_one_is_short(rig):
    rig.gitlab.settings.hidden_note_words = ("hide me",)
    for number in range(230):
        text = "hide me" if number % 3 == 0 else f"note {number}"
        await rig.comment(text)
    rig.gitlab.log.entries.clear()

    notes = await rig.door.notes(*rig.key)

    expected = {f"note {number}" for number in range(230) if number % 3}
    assert {note.body for note in notes} >= expected
    assert len(rig.gitlab.log.matching("GET", "/notes$")) == 3


async def test_pages_are_asked_of_our_address_when_links_name_another(rig):
    rig.gitlab.settings.external_url = "http://gitlab.elsewhere.test"
    for number in range(120):
        await rig.comment(f"note {number}")

    assert len(await rig.door.discussions(*rig.key)) >= 120


async def test_sr_04_a_next_page_on_another_host_is_not_called(rig):
    link = '<http://127.0.0.1:1/v4/notes?page=2>; rel="next"'
    rig.gitlab.faults.add(path="/notes", status=200, body=[], headers={"Link": link})

    with pytest.raises(Unavailable, match="another host"):
        await rig.door.notes(*rig.key)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_sr_04_a_redirect_to_another_host_does_not_carry_the_token(rig, tmp_path, status):
    async with running_gitlab(tmp_path / "other") as other:
        rig.gitlab.faults.add(
            path="/merge_requests", status=status, headers={"Location": f"{other.url}/api/v4/user"}
        )
        with pytest.raises(Unavailable, match="GITLAB_URL"):
            await rig.door.merge_request(*rig.key)
        assert other.requests == []


@pytest.mark.parametrize("fault", [{"status": 502, "body": HTML}, {"drop": True}])
async def test_a_read_is_tried_three_times(rig, fault):
    rig.gitlab.faults.add(path="/merge_requests/", times=2, **fault)
    assert (await rig.door.merge_request(*rig.key)).iid == rig.iid

    rig.gitlab.faults.add(path="/merge_requests/", times=3, **fault)
    with pytest.raises(Unavailable):
        await rig.door.merge_request(*rig.key)


@pytest.mark.parametrize("fault", [{"status": 502, "body": HTML}, {"drop": True}])
async def test_a_write_is_sent_once_and_may_have_been_done(rig, fault):
    rig.gitlab.faults.add(method="POST", commit=True, **fault)

    with pytest.raises(Unavailable) as caught:
        await rig.door.create_note(*rig.key, "once")

    assert caught.value.maybe_done
    assert len(rig.gitlab.log.matching("POST", "/notes")) == 1
    assert [note.body for note in rig.gitlab.notes(rig.merge_request)] == ["once"]


async def test_a_write_without_an_answer_times_out_and_may_have_been_done(rig):
    rig.gitlab.faults.add(method="POST", commit=True, hang=True)
    async with rig.client(read_timeout=0.3) as door:
        with pytest.raises(TimedOut) as caught:
            await door.create_note(*rig.key, "once")

    assert (caught.value.maybe_done, caught.value.peer) == (True, "gitlab")
    assert [note.body for note in rig.gitlab.notes(rig.merge_request)] == ["once"]


async def test_a_cancelled_write_is_over_before_its_caller_goes_on(rig):
    fault = rig.gitlab.faults.add(method="POST", delay=0.3)
    writing = asyncio.create_task(rig.door.create_note(*rig.key, "late"))
    async with asyncio.timeout(5):
        while fault.times:  # noqa: ASYNC110  # the simulator tells nobody when a request arrives
            await asyncio.sleep(0.01)

    writing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await writing
    assert [note.body for note in rig.gitlab.notes(rig.merge_request)] == ["late"]


@pytest.mark.parametrize(
    ("fault", "delay"),
    [
        ({"body": "Retry later\n", "headers": {"Retry-After": "17"}}, 17),
        ({"body": "Retry later\n", "headers": {"Retry-After": "86400"}}, 300),
        ({"body": {"message": {"error": "This endpoint has been requested too many times."}}}, 60),
    ],
)
async def test_too_many_requests_is_a_wait_and_no_second_try(rig, fault, delay):
    rig.gitlab.faults.add(path="/merge_requests/", status=429, times=9, **fault)

    with pytest.raises(RateLimited) as caught:
        await rig.door.merge_request(*rig.key)
    assert (caught.value.delay, caught.value.peer) == (delay, "gitlab")
    assert len(rig.gitlab.log.entries) == 1


async def test_a_wrong_token_waits_for_an_operator(rig):
    async with rig.client(token="glpat-wrong", token_setting="GITLAB_READ_TOKEN") as door:
        with pytest.raises(Unauthorized, match="GITLAB_READ_TOKEN") as caught:
            await door.current_user()
    assert caught.value.delay == 60


async def test_a_token_without_the_scope_waits_for_an_operator(rig):
    async with rig.client(token=rig.gitlab.read_token) as door:
        with pytest.raises(Unauthorized, match="insufficient_scope"):
            await door.create_note(*rig.key, "hello")


async def test_no_right_to_write_is_forbidden(rig):
    rig.project.archived = True
    with pytest.raises(Forbidden):
        await rig.door.create_note(*rig.key, "hello")


async def test_a_read_only_instance_is_away_for_a_while(rig):
    rig.gitlab.settings.read_only = True
    with pytest.raises(Unavailable):
        await rig.door.create_note(*rig.key, "hello")


@pytest.mark.parametrize("status", [200, 403, 404])
async def test_a_page_of_a_proxy_says_nothing_about_the_merge_request(rig, status):
    rig.gitlab.faults.add(path="/merge_requests/", status=status, body=HTML, times=9)
    with pytest.raises(Unavailable):
        await rig.door.merge_request(*rig.key)
    with pytest.raises(Unavailable):
        await rig.door.discussions(*rig.key)


@pytest.mark.parametrize("status", [200, 403, 404])
async def test_a_page_of_a_proxy_makes_nobody_a_stranger_and_nothing_missing(rig, status):
    """SR-06: what stands in GitLab's place is not taken for an answer about rights or files."""
    rig.gitlab.faults.add(path="/projects/", status=status, body=HTML, times=99)
    door, project_id = rig.door, rig.project_id
    for call in (
        door.member(project_id, rig.bot_id),
        door.branch(project_id, "main"),
        door.protected_branches(project_id),
        door.file(project_id, "a.py", "main"),
        door.award(*rig.key, 1, "eyes"),
        door.merge_requests_from(project_id, "topic"),
    ):
        with pytest.raises(Unavailable):
            await call


async def test_replies_and_emoji_are_sent_once_and_may_have_been_done(rig):
    note = await rig.gitlab.comment(rig.merge_request, "/copilot help")
    thread = (await rig.door.discussions(*rig.key))[-1]
    for call, wanted in (
        (lambda: rig.door.reply(*rig.key, thread.id, "once"), "/notes$"),
        (lambda: rig.door.award(*rig.key, note.id, "eyes"), "/award_emoji$"),
    ):
        rig.gitlab.faults.add(method="POST", commit=True, status=502, body=HTML)
        with pytest.raises(Unavailable) as caught:
            await call()
        assert caught.value.maybe_done
        assert len(rig.gitlab.log.matching("POST", wanted)) == 1

    assert await rig.door.award(*rig.key, note.id, "eyes") is None


async def test_half_a_file_is_no_file():
    asked = []

    async def answer(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nX-Gitlab-Size: 9\r\nContent-Length: 9\r\n\r\nhalf")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        server = Server(url=f"http://127.0.0.1:{port}", token="glpat-x")
        async with GitLabClient(server, pauses=(0.0,)) as door:
            with pytest.raises(Unavailable):
                await door.file(1, "a.py", "main")
    assert len(asked) == 2


@pytest.mark.parametrize("body", [[], {}, {"iid": "x"}, "not json", ["x"], [[1]]])
async def test_an_answer_of_another_shape_is_no_answer(rig, body):
    headers = {"Content-Type": "application/json"}
    rig.gitlab.faults.add(path="/merge_requests/", status=200, body=body, headers=headers, times=9)
    with pytest.raises(Unavailable):
        await rig.door.merge_request(*rig.key)


async def test_nobody_listening_is_away(tmp_path):
    async with running_gitlab(tmp_path / "gone") as gone:
        server = Server(url=gone.url, token="glpat-x")
    async with GitLabClient(server, pauses=(0.0,)) as door:
        with pytest.raises(Unavailable, match="refused"):
            await door.current_user()
        with pytest.raises(Unavailable) as caught:
            await door.create_note(1, 1, "hello")
    assert not caught.value.maybe_done


async def test_a_missing_ca_bundle_is_named():
    server = Server(url="https://127.0.0.1:1", token="glpat-x", ca_bundle="/nowhere.pem")
    async with GitLabClient(server, pauses=()) as door:
        with pytest.raises(Unavailable, match="CA_BUNDLE"):
            await door.current_user()


async def test_a_new_merge_request_has_no_diff_refs_yet(rig):
    rig.gitlab.settings.null_diff_refs = True
    assert (await rig.door.merge_request(*rig.key)).diff_refs is None


async def test_calls_run_side_by_side_each_with_its_own_connection(rig):
    found = await asyncio.gather(*(rig.door.merge_request(*rig.key) for _ in range(12)))

    assert {each.iid for each in found} == {rig.iid}
    assert len(rig.door._sessions) <= 4


async def test_sr_37_no_failure_shows_the_token(rig, caplog):
    caplog.set_level(logging.DEBUG)
    token = rig.gitlab.write_token
    texts = [repr(rig.door), repr(rig.door._server)]
    for fault in (
        {"status": 400, "body": {"message": {"token": [token]}}},
        {"status": 401, "body": {"error": token}},
        {"status": 500, "body": token},
        {"status": 302, "headers": {"Location": f"http://x:{token}@127.0.0.1:1"}},
        {"status": 429, "body": token},
        {"status": 200, "body": token},
        {"drop": True},
    ):
        rig.gitlab.faults.clear()
        rig.gitlab.faults.add(path="/merge_requests", times=9, **fault)
        for call in (rig.door.merge_request(*rig.key), rig.door.create_note(*rig.key, "x")):
            with pytest.raises(GitLabError) as caught:
                await call
            error = caught.value
            texts += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]

    assert [text for text in [*texts, caplog.text] if token in text] == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"url": "http://gitlab.example"}, "ALLOW_HTTP_GITLAB"),
        ({"url": "gitlab.example"}, "GITLAB_URL"),
        ({"url": "https://a:b@gitlab.example"}, "GITLAB_URL"),
        ({"token": ""}, "GITLAB_TOKEN"),
        ({"token": "two\nlines"}, "GITLAB_TOKEN"),
    ],
)
async def test_a_server_that_cannot_work_is_refused_at_start(changes, named):
    given = {"url": "https://gitlab.example", "token": "glpat-x"} | changes
    with pytest.raises(SettingsError, match=named) as caught:
        GitLabClient(Server(**given))
    assert "lines" not in str(caught.value)


async def test_a_deleted_merge_request_is_not_found(rig):
    rig.gitlab.delete_merge_request(rig.merge_request)
    with pytest.raises(NotFound):
        await rig.door.merge_request(*rig.key)
