"""The git door against the real git and a real, sometimes hostile, server."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import msgspec
import pytest

from libs.common.git import clone as door
from libs.common.git.clone import ClonedRepository, CloneOrder, clone_merge_request
from libs.common.git.errors import (
    AuthFailed,
    CloneFailed,
    GitError,
    GitTimedOut,
    HostAway,
    RefGone,
    TooLarge,
    basic_credentials,
)
from libs.common.git.read import ChangedFile, diff_text, list_tree, numstat, show
from tests.integration.git_door_repository import Origin, link, submodule
from tests.integration.git_door_server import GitServer, Mood, serving
from tests.simulators.gitlab import running_gitlab

pytestmark = pytest.mark.real

looks_at_processes = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="needs /proc to see other processes"
)

CANARY = "glpat-canary0123456789abcdef"
MR_REF = "refs/merge-requests/7/head"


class Project:
    """`main` moved on after the merge request branched off; the branch has two commits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.origin = Origin(root / "group" / "project.git")
        commit = self.origin.commit
        self.base = commit("refs/heads/main", {"a.py": b"one\ntwo\n", "old.txt": b"1\n2\n3\n4\n"})
        self.target = commit("refs/heads/main", {"AGENTS.md": b"be kind\n"}, self.base)
        self.first = commit(MR_REF, {"a.py": b"one\n2\n"}, self.base)
        changes = {"new name.txt": b"1\n2\n3\n4\n5\n", "old.txt": None, "ü.bin": b"\0\1"}
        self.head = commit(MR_REF, changes, self.first)

    def order(self, server: GitServer, **changes: object) -> CloneOrder:
        given: dict[str, object] = {
            "folder": self.root / "clone",
            "clone_url": f"{server.url}/group/project.git",
            "head_sha": self.head,
            "base_sha": self.base,
            "target_branch": "main",
            "timeout": 30.0,
        }
        return CloneOrder(**(given | changes))


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def server(project):
    with serving(project.root, Mood(token=CANARY)) as running:
        yield running


async def test_clone_checks_out_the_head_and_keeps_base_and_target(project, server):
    cloned = await clone_merge_request(project.order(server), token=CANARY)

    assert cloned == ClonedRepository(
        folder=project.root / "clone",
        head_sha=project.head,
        base_sha=project.base,
        start_sha=project.base,
        target_sha=project.target,
    )
    assert (cloned.folder / "a.py").read_bytes() == b"one\n2\n"
    assert (cloned.folder / ".git" / "HEAD").read_text().strip() == project.head
    assert await show(cloned.folder, door.TARGET, "AGENTS.md") == b"be kind\n"
    assert await show(cloned.folder, door.HEAD, "AGENTS.md") is None


async def test_clone_is_shallow_and_needs_one_fetch(project, server):
    await clone_merge_request(project.order(server), token=CANARY)

    clone = project.root / "clone"
    assert project.head in (clone / ".git" / "shallow").read_text()
    assert [seen for seen in server.mood.seen if "authorization" not in seen] == []
    assert len(server.mood.seen) <= 4


async def test_clone_replaces_whatever_is_in_the_folder(project, server):
    clone = project.root / "clone"
    clone.mkdir()
    (clone / "left over").write_text("from a crash")

    await clone_merge_request(project.order(server, start_sha=project.target), token=CANARY)

    assert not (clone / "left over").exists()
    assert await show(clone, door.START, "AGENTS.md") == b"be kind\n"


@pytest.mark.parametrize("which", ["head", "first"])
async def test_a_server_that_refuses_shas_gives_the_head_by_its_merge_request_ref(
    project, server, which
):
    server.mood.only_old_protocol = True
    sha = getattr(project, which)

    order = project.order(server, head_sha=sha, iid=7)
    cloned = await clone_merge_request(order, token=CANARY)

    assert (cloned.folder / ".git" / "HEAD").read_text().strip() == sha
    assert cloned.target_sha == project.target


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target_branch": "gone"}, "target branch gone"),
        ({"head_sha": "ab" * 20}, "abababababab"),
        ({"head_sha": "ab" * 20, "iid": 7}, "abababababab"),
        ({"head_sha": "ab" * 20, "iid": 8}, "abababababab"),
    ],
)
async def test_what_is_gone_is_named(project, server, changes, said):
    with pytest.raises(RefGone, match=said):
        await clone_merge_request(project.order(server, **changes), token=CANARY)


async def test_an_unknown_project_is_gone(project, server):
    url = f"{server.url}/group/other.git"
    with pytest.raises(RefGone, match="no such repository"):
        await clone_merge_request(project.order(server, clone_url=url), token=CANARY)


async def test_a_refused_token_is_an_auth_failure(project, server):
    with pytest.raises(AuthFailed, match="GITLAB_READ_TOKEN") as caught:
        await clone_merge_request(project.order(server), token="wrong")
    assert caught.value.reason == "auth"


@pytest.mark.parametrize(
    "mood", [{"status": 503}, {"status": 429}, {"status": 502}, {"html": True}, {"cut_pack": True}]
)
async def test_a_sick_server_is_worth_another_try(project, server, mood):
    for name, value in mood.items():
        setattr(server.mood, name, value)

    with pytest.raises(HostAway) as caught:
        await clone_merge_request(project.order(server), token=CANARY)
    assert (caught.value.reason, caught.value.peer) == ("clone", "gitlab")


async def test_nobody_listening_is_worth_another_try(project):
    with serving(project.root) as running:
        gone = running
    with pytest.raises(HostAway):
        await clone_merge_request(project.order(gone), token=CANARY)


@looks_at_processes
async def test_a_hanging_server_ends_with_the_time_and_leaves_no_process(project, server):
    server.mood.hang = True

    with pytest.raises(GitTimedOut) as caught:
        await clone_merge_request(project.order(server, timeout=1.0), token=CANARY)
    assert caught.value.reason == "timeout"
    assert processes_with("GIT_DIR", str(project.root)) == []


@looks_at_processes
async def test_cancelling_a_clone_ends_git(project, server):
    server.mood.hang = True
    running = asyncio.create_task(clone_merge_request(project.order(server), token=CANARY))
    assert await asyncio.to_thread(server.mood.hanging.wait, 10)
    assert processes_with("GIT_DIR", str(project.root)) != []

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert processes_with("GIT_DIR", str(project.root)) == []


async def test_sr_04_a_redirect_to_another_host_is_not_followed(project, server):
    with serving(project.root) as other:
        server.mood.redirect_to = other.url
        with pytest.raises(CloneFailed, match="redirect"):
            await clone_merge_request(project.order(server), token=CANARY)
        assert other.mood.seen == []


@looks_at_processes
async def test_sr_39_the_token_is_in_no_argument_and_in_the_environment_of_fetch_only(
    project, server
):
    server.mood.hang = True
    running = asyncio.create_task(clone_merge_request(project.order(server), token=CANARY))
    assert await asyncio.to_thread(server.mood.hanging.wait, 10)

    words = arguments_of(processes_with("GIT_DIR", str(project.root)))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert b"remote-http" in words
    assert [form for form in forms(CANARY) if form in words] == []
    assert CANARY not in os.environ.values()


async def test_sr_37_no_way_to_fail_leaves_the_token_anywhere(project, server, caplog):
    caplog.set_level(logging.DEBUG)
    sick: list[dict[str, object]] = [
        {},
        {"token": "other"},
        {"status": 403},
        {"status": 500},
        {"html": True},
        {"redirect_to": "http://127.0.0.1:1"},
        {"cut_pack": True},
    ]
    texts = []
    for number, mood in enumerate(sick):
        vars(server.mood).update({**vars(Mood(token=CANARY)), **mood})
        folder = project.root / "clones" / str(number)
        try:
            await clone_merge_request(project.order(server, folder=folder), token=CANARY)
        except GitError as error:
            texts += [str(error), repr(error), repr(error.__context__), repr(error.__cause__)]
    files = [path for path in (project.root / "clones").rglob("*") if path.is_file()]
    kept = b"\n".join([*(path.read_bytes() for path in files), caplog.text.encode()])

    assert len(texts) == 6 * 4
    assert [form for form in forms(CANARY) if form in kept or form in "".join(texts).encode()] == []


async def test_git_config_names_no_remote(project, server):
    cloned = await clone_merge_request(project.order(server), token=CANARY)
    config = (cloned.folder / ".git" / "config").read_text()

    assert "remote" not in config
    assert "127.0.0.1" not in config


async def test_sr_15_a_hostile_repository_runs_nothing_and_links_nowhere(tmp_path):
    trap = tmp_path / "trap"
    touch = f"touch {trap}"
    settings = f'[core]\nfsmonitor = "{touch}"\n[filter "evil"]\nsmudge = {touch}\n'
    origin = Origin(tmp_path / "group" / "project.git")
    base = origin.commit("refs/heads/main", {"a": b"1\n"})
    files = {
        "a": b"2\n",
        ".gitattributes": b"* filter=evil diff=evil\n*.bin filter=lfs diff=lfs -text\n*.py -diff\n",
        ".gitconfig": settings.encode(),
        ".gitmodules": b'[submodule "s"]\n\tpath = s\n\turl = http://127.0.0.1:1/x\n',
        ".githooks/post-checkout": f"#!/bin/sh\n{touch}\n".encode(),
        "hooks/post-checkout": f"#!/bin/sh\n{touch}\n".encode(),
        ".netrc": b"machine 127.0.0.1 login a password b\n",
        "big.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "hidden.py": b"import os\n",
        "passwd": link("/etc/passwd"),
        "folder": link("/etc"),
        "dotgit": link(".git/config"),
        "s": submodule(),
    }
    head = origin.commit("refs/heads/evil", files, base)
    with serving(tmp_path) as running:
        order = CloneOrder(
            folder=tmp_path / "clone",
            clone_url=f"{running.url}/group/project.git",
            head_sha=head,
            base_sha=base,
            target_branch="main",
        )
        cloned = await clone_merge_request(order, token="")
    folder = cloned.folder

    assert not trap.exists()
    assert [path for path in folder.rglob("*") if path.is_symlink()] == []
    assert (folder / "passwd").read_text() == "/etc/passwd"
    assert (folder / "big.bin").read_bytes() == files["big.bin"]
    assert list((folder / "s").iterdir()) == []
    assert [await show(folder, head, name) for name in ("passwd", "folder", "s")] == [None] * 3
    assert "+import os" in await diff_text(folder, base, head)
    assert not trap.exists()
    modes = {entry.path: entry.is_file for entry in await list_tree(folder, head)}
    assert [name for name, regular in modes.items() if not regular] == [
        "dotgit",
        "folder",
        "passwd",
        "s",
    ]


async def test_numstat_and_diff_tell_renames_binaries_and_odd_names(project, server):
    cloned = await clone_merge_request(project.order(server), token=CANARY)
    between = (cloned.folder, project.base, project.head)

    assert await numstat(*between) == [
        ChangedFile(old_path="a.py", new_path="a.py", status="M", added=1, removed=1),
        ChangedFile(old_path="old.txt", new_path="new name.txt", status="R", added=1, removed=0),
        ChangedFile(old_path="ü.bin", new_path="ü.bin", status="A", added=None, removed=None),
    ]
    assert "rename to new name.txt" in await diff_text(*between)
    assert (await diff_text(*between, ["a.py"])).splitlines()[-2:] == ["-two", "+2"]
    assert await diff_text(*between, []) == ""


async def test_reading_is_bounded_and_takes_no_expressions(project, server):
    cloned = await clone_merge_request(project.order(server), token=CANARY)
    folder, head = cloned.folder, project.head

    with pytest.raises(TooLarge):
        await diff_text(folder, project.base, head, max_bytes=100)
    with pytest.raises(TooLarge):
        await show(folder, head, "a.py", max_bytes=3)
    for revision in ("--output=/tmp/x", "HEAD~1", "main", f"{head}:a.py"):
        with pytest.raises(CloneFailed, match="revision"):
            await show(folder, revision, "a.py")
    for path in ("../a.py", "/etc/passwd", "", "nope", ":(top)a.py", "*.py"):
        assert await show(folder, head, path) is None
    assert await show(folder, head, "new name.txt") == b"1\n2\n3\n4\n5\n"


async def test_a_merge_request_of_the_simulated_gitlab_is_cloned_with_the_read_token(tmp_path):
    async with running_gitlab(tmp_path / "gitlab") as gitlab:
        order, head = await _fork_order(gitlab, tmp_path / "clone")

        cloned = await clone_merge_request(order, token=gitlab.read_token)

        assert await show(cloned.folder, door.HEAD, "a.py") == b"1\n"
        assert await show(cloned.folder, door.TARGET, "README.md") == b"# project\n"
        assert cloned.head_sha == head
        assert {request.user for request in gitlab.log.matching("", "[.]git/")} == {"copilot-agent"}


async def test_gitlab_refuses_a_wrong_token_and_hides_a_project(tmp_path):
    async with running_gitlab(tmp_path / "gitlab") as gitlab:
        order, _ = await _fork_order(gitlab, tmp_path / "clone")
        with pytest.raises(AuthFailed):
            await clone_merge_request(order, token="glpat-wrong")
        hidden = gitlab.create_project("group/hidden", bot_access=0)
        order = msgspec.structs.replace(order, clone_url=hidden.http_url)
        with pytest.raises((AuthFailed, RefGone)):
            await clone_merge_request(order, token=gitlab.read_token)


async def _fork_order(gitlab, folder):
    """A merge request from a fork that the bot cannot see."""
    project = gitlab.create_project("group/project")
    fork = gitlab.fork_project(project, "someone/project")
    head = gitlab.commit(fork, branch="topic", files={"a.py": "1\n"})
    opened = await gitlab.open_merge_request(project, source_branch="topic", source_project=fork)
    order = CloneOrder(
        folder=folder,
        clone_url=project.http_url,
        head_sha=head,
        base_sha=project.repository.branch("main"),
        target_branch="main",
        iid=opened.iid,
        timeout=30.0,
    )
    return order, head


def forms(token: str) -> list[bytes]:
    return [token.encode(), basic_credentials(token).encode()]


def arguments_of(pids: list[int]) -> bytes:
    return b"\0".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)


def processes_with(name: str, value: str) -> list[int]:
    """Processes whose environment has a variable that begins so (Linux)."""
    wanted = f"{name}={value}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if wanted in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found
