"""The simulated GitLab serves git over smart HTTP, and a push does what a push does."""

from __future__ import annotations

import base64
import os

import pytest

from tests.integration.gitlab_git import Git
from tests.simulators.gitlab import Executable, Symlink
from tests.simulators.gitlab.wire import opened_merge_request

pytestmark = pytest.mark.real


@pytest.fixture
async def scene(tmp_path):
    async with opened_merge_request(tmp_path / "gitlab", hooks=True) as scene:
        yield scene


@pytest.fixture
def writer(scene, tmp_path):
    return Git(tmp_path / "work", scene.gitlab.write_token)


async def clone(scene, git, *options):
    await git.clone(scene.project.http_url, *options)


async def test_a_read_token_clones_by_any_username(scene, tmp_path):
    git = Git(tmp_path / "work", scene.gitlab.read_token)
    await clone(scene, git, "--branch", "feature")
    assert (git.folder / "app.py").read_text().splitlines()[9] == "line ten"
    assert await git.ok("rev-parse", "HEAD") == scene.merge_request.head_sha
    assert {r.user for r in scene.gitlab.log.matching("", r"\.git/")} == {"copilot-agent"}


async def test_any_sha_and_the_merge_request_ref_can_be_fetched_shallow(scene, writer):
    old = scene.merge_request.head_sha
    other = scene.gitlab.commit(scene.project, branch="other", files={"z.py": "z\n"})
    await scene.gitlab.force_push(scene.project, branch="feature", sha=other)
    await writer.ok("init", "--quiet")
    await writer.ok("fetch", "--quiet", "--depth=1", scene.project.http_url, old)
    assert await writer.ok("rev-parse", "FETCH_HEAD") == old
    ref = f"refs/merge-requests/{scene.merge_request.iid}/head"
    await writer.ok("fetch", "--quiet", "--depth=1", scene.project.http_url, ref)
    assert await writer.ok("rev-parse", "FETCH_HEAD") == other


@pytest.mark.parametrize("token", ["", "glpat-wrong"])
async def test_without_a_good_token_git_is_challenged(scene, tmp_path, token):
    git = Git(tmp_path / "work", token)
    code, output = await git.run("ls-remote", scene.project.http_url)
    assert code == 128
    assert scene.gitlab.write_token not in output
    answer = await scene.session.get(
        f"{scene.project.http_url}/info/refs", params={"service": "git-upload-pack"}
    )
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


async def test_a_hidden_project_is_not_found(scene, tmp_path):
    hidden = scene.gitlab.create_project("other/hidden", bot_access=0)
    git = Git(tmp_path / "work", scene.gitlab.read_token)
    code, output = await git.run("ls-remote", hidden.http_url)
    assert code == 128
    assert "not found" in output


async def test_a_read_token_may_not_push(scene, tmp_path):
    git = Git(tmp_path / "work", scene.gitlab.read_token)
    await clone(scene, git, "--branch", "feature")
    await git.commit_file("x.py")
    code, output = await git.run("push", "origin", "feature")
    assert code != 0
    assert "403" in output


async def test_a_push_moves_the_merge_request_and_fires_its_hook(scene, writer):
    before = scene.merge_request.head_sha
    await clone(scene, writer, "--branch", "feature")
    sha = await writer.commit_file("x.py")
    await writer.ok("push", "--quiet", "origin", "feature")
    assert (await scene.bot.get(scene.api)).body["sha"] == sha
    await scene.gitlab.settle()
    attributes = scene.receiver.bodies()[-1]["object_attributes"]
    assert (attributes["oldrev"], attributes["last_commit"]["id"]) == (before, sha)
    ref = f"refs/merge-requests/{scene.merge_request.iid}/head"
    assert scene.project.repository.refs(ref)[ref] == sha


async def test_behaviour_17_a_push_of_more_than_three_refs_sends_no_push_hook(scene, writer):
    scene.gitlab.set_webhook(url=scene.receiver.url, events=("push",))
    await clone(scene, writer)
    await writer.ok("push", "--quiet", "origin", *(f"HEAD:refs/heads/a{n}" for n in range(4)))
    await writer.ok("push", "--quiet", "origin", *(f"HEAD:refs/heads/b{n}" for n in range(3)))
    await scene.gitlab.settle()
    refs = sorted(body["ref"] for body in scene.receiver.bodies("push"))
    assert refs == ["refs/heads/b0", "refs/heads/b1", "refs/heads/b2"]


async def test_behaviour_49_a_push_that_is_not_fast_forward_is_rejected(scene, writer):
    await clone(scene, writer, "--branch", "feature")
    await writer.commit_file("x.py")
    theirs = await scene.gitlab.push(scene.project, branch="feature", files={"y.py": "y\n"})
    code, output = await writer.run("push", "origin", "feature")
    assert code != 0
    assert "rejected" in output
    assert scene.project.repository.branch("feature") == theirs


async def test_a_large_push_and_a_gzipped_fetch_pass_through(scene, writer):
    await clone(scene, writer, "--branch", "feature")
    content = base64.b64encode(os.urandom(3_000_000)).decode()
    sha = await writer.commit_file("large.txt", content)
    await writer.ok("push", "--quiet", "origin", "feature")
    assert scene.merge_request.head_sha == sha
    await writer.ok("fetch", "--quiet", "origin", "main")


async def test_merging_by_push_marks_the_merge_request_merged(scene, tmp_path):
    maintainer = Git(tmp_path / "work", scene.gitlab.human_token)
    await clone(scene, maintainer, "--branch", "feature")
    await maintainer.ok("push", "--quiet", "origin", "feature:main")
    assert scene.merge_request.state == "merged"


async def test_behaviour_47_the_head_of_a_fork_is_fetched_from_the_target(scene, writer):
    fork = scene.gitlab.fork_project(scene.project, "alice/app")
    sha = scene.gitlab.commit(fork, branch="fix", files={"f.py": "f\n"})
    theirs = await scene.gitlab.open_merge_request(
        scene.project, source_branch="fix", source_project=fork
    )
    path = f"/projects/{scene.project.id}/merge_requests/{theirs.iid}"
    body = (await scene.bot.get(path)).body
    assert (body["source_project_id"], body["target_project_id"]) == (fork.id, scene.project.id)
    assert (await writer.run("ls-remote", fork.http_url))[0] == 128
    await writer.ok("init", "--quiet")
    ref = f"refs/merge-requests/{theirs.iid}/head"
    await writer.ok("fetch", "--quiet", scene.project.http_url, ref)
    assert await writer.ok("rev-parse", "FETCH_HEAD") == sha


async def test_strange_files_are_committed_and_shown(scene):
    files = {
        'quote" and ünïcode.txt': "text\n",
        "link": Symlink("app.py"),
        "run.sh": Executable("#!/bin/sh\n"),
        "data.bin": b"\x00\x01\x02",
    }
    await scene.gitlab.push(scene.project, branch="feature", files=files)
    entries = {e["new_path"]: e for e in (await scene.bot.get(f"{scene.api}/diffs")).body}
    assert set(files) <= set(entries)
    assert entries["link"]["b_mode"] == "120000"
    assert entries["run.sh"]["b_mode"] == "100755"
    assert entries["data.bin"]["diff"].startswith("Binary files ")
    assert (await scene.discuss('quote" and ünïcode.txt', new_line=1)).status == 201


async def test_a_diff_of_3000_files_is_made_and_paged(scene):
    files = {f"many/file{number:04}.txt": f"{number}\n" for number in range(3000)}
    await scene.gitlab.push(scene.project, branch="feature", files=files)
    scene.gitlab.settings.max_files = 3000
    answer = await scene.bot.get(f"{scene.api}/diffs", params={"per_page": "100"})
    assert (len(answer.body), answer.headers["X-Total"]) == (100, "3000")
    assert (await scene.bot.get(scene.api)).body["changes_count"] == "3000+"
