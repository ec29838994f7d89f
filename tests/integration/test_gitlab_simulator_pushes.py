"""Who may push where to the simulated GitLab, what it says otherwise, and what a push starts."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.gitlab_git import Git
from tests.simulators.gitlab.wire import opened_merge_request

pytestmark = pytest.mark.real

PROTECTED = "You are not allowed to push code to protected branches on this project."
FORCED = "You are not allowed to force push code to a protected branch on this project."


@pytest.fixture
async def scene(tmp_path):
    async with opened_merge_request(tmp_path / "gitlab", hooks=True) as scene:
        yield scene


@pytest.fixture
def bot(scene, tmp_path):
    return Git(tmp_path / "bot", scene.gitlab.write_token)


@pytest.fixture
def maintainer(scene, tmp_path):
    return Git(tmp_path / "maintainer", scene.gitlab.human_token)


def as_user(scene, tmp_path, user):
    return Git(tmp_path / user.username, scene.gitlab.add_token(user).value)


async def cloned(scene, git, branch="feature"):
    await git.clone(scene.project.http_url, "--branch", branch)
    return await git.commit_file("x.py")


@pytest.mark.parametrize("pattern", ["feature", "feat*", "*"])
async def test_behaviour_48_a_developer_may_not_push_to_a_protected_branch(scene, bot, pattern):
    scene.gitlab.protect_branch(scene.project, pattern)
    before = scene.merge_request.head_sha
    await cloned(scene, bot)
    code, output = await bot.run("push", "origin", "feature")
    lines = [line.rstrip() for line in output.splitlines()]
    assert code == 1
    assert f"remote: GitLab: {PROTECTED}" in lines
    assert " ! [remote rejected] feature -> feature (pre-receive hook declined)" in lines
    assert scene.project.repository.branch("feature") == before
    assert scene.gitlab.pipelines(scene.project, sha=before) != []


async def test_behaviour_48_one_refused_branch_refuses_the_whole_push(scene, bot):
    await cloned(scene, bot)
    code, output = await bot.run("push", "origin", "HEAD:refs/heads/new", "HEAD:main")
    assert (code, PROTECTED in output) == (1, True)
    assert scene.project.repository.branch("new") is None


async def test_behaviour_48_the_most_permissive_rule_that_matches_counts(scene, bot):
    scene.gitlab.protect_branch(scene.project, "feat*", push=0)
    scene.gitlab.protect_branch(scene.project, "feature", push=30)
    sha = await cloned(scene, bot)
    await bot.ok("push", "--quiet", "origin", "feature")
    assert scene.project.repository.branch("feature") == sha


async def test_behaviour_48_nobody_forces_a_protected_branch(scene, maintainer):
    await cloned(scene, maintainer, "main")
    await maintainer.ok("push", "--quiet", "origin", "main")
    await maintainer.ok("commit", "--quiet", "--amend", "-m", "Another history")
    before = scene.project.repository.branch("main")
    code, output = await maintainer.run("push", "--force", "origin", "main")
    assert (code, f"remote: GitLab: {FORCED}" in output) == (1, True)
    assert scene.project.repository.branch("main") == before
    scene.gitlab.protect_branch(scene.project, "main", force=True)
    await maintainer.ok("push", "--quiet", "--force", "origin", "main")


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        (":main", "The default branch of a project cannot be deleted."),
        (":kept/1", "You are not allowed to delete protected branches from this project."),
        ("HEAD:refs/heads/kept/2", "You are not allowed to create protected branches"),
        (f"HEAD:refs/heads/{'a' * 40}", "with a 40-character hexadecimal branch name."),
    ],
)
async def test_behaviour_48_branches_are_not_made_or_deleted_against_the_rules(
    scene, bot, ref, words
):
    scene.gitlab.commit(scene.project, branch="kept/1", files={"k.py": "k\n"})
    scene.gitlab.protect_branch(scene.project, "kept/*")
    await cloned(scene, bot)
    code, output = await bot.run("push", "origin", ref)
    assert (code, words in output) == (1, True), output


async def test_behaviour_49_a_push_after_somebody_elses_is_rejected_and_then_rebased(scene, bot):
    await cloned(scene, bot)
    theirs = await scene.gitlab.push(scene.project, branch="feature", files={"y.py": "y\n"})
    code, output = await bot.run("push", "origin", "feature")
    assert (code, "! [rejected]" in output, "fetch first" in output) == (1, True, True)
    await bot.ok("pull", "--quiet", "--rebase")
    await bot.ok("push", "--quiet", "origin", "feature")
    head = scene.project.repository.branch("feature")
    assert scene.project.repository.is_ancestor(theirs, head)


@pytest.mark.parametrize("level", [10, 15, 20, 25])
async def test_pushing_needs_a_developer(scene, tmp_path, level):
    rita = scene.gitlab.add_user("rita", project=scene.project, access_level=level)
    scene.project.visibility = "public"
    git = as_user(scene, tmp_path, rita)
    await cloned(scene, git)
    code, output = await git.run("push", "origin", "feature")
    assert (code, "403" in output) == (128, True)
    assert "You are not allowed to push code to this project." in output


async def test_a_push_moves_the_merge_request_as_the_tokens_user_did_it(scene, tmp_path):
    before = scene.merge_request.head_sha
    dora = scene.gitlab.add_user("dora", project=scene.project)
    git = as_user(scene, tmp_path, dora)
    sha = await cloned(scene, git)
    scene.gitlab.settings.sha_lag = 60
    await git.ok("push", "--quiet", "origin", "feature")
    assert (await scene.bot.get(scene.api)).body["sha"] == before
    scene.gitlab.advance(61)
    body = (await scene.bot.get(scene.api)).body
    assert (body["sha"], body["diff_refs"]["head_sha"]) == (sha, sha)
    versions = (await scene.bot.get(f"{scene.api}/versions")).body
    assert [v["head_commit_sha"] for v in versions] == [sha, before]
    await scene.gitlab.settle()
    last = scene.receiver.bodies()[-1]
    assert (last["user"]["username"], last["object_attributes"]["action"]) == ("dora", "update")
    assert last["object_attributes"]["oldrev"] == before


async def test_sr_33_a_push_starts_a_pipeline_unless_told_to_skip(scene, bot):
    scene.gitlab.set_webhook(url=scene.receiver.url, events=("push",))
    sha = await cloned(scene, bot)
    await bot.ok("push", "--quiet", "origin", "feature")
    skipped = await bot.commit_file("z.py")
    await bot.ok("push", "--quiet", "-o", "ci.skip", "origin", "feature", "HEAD:refs/heads/b")
    listing = f"/projects/{scene.project.id}/pipelines"
    [first] = (await scene.bot.get(listing, params={"sha": sha})).body
    assert (first["ref"], first["source"]) == ("feature", "push")
    assert (await scene.bot.get(listing, params={"sha": skipped})).body == []
    assert scene.gitlab.pipelines(scene.project, sha=skipped) == []
    [shown] = [p for p in (await scene.bot.get(f"{scene.api}/pipelines")).body if p["sha"] == sha]
    assert shown["id"] == first["id"]
    await scene.gitlab.settle()
    options = [body["push_options"] for body in scene.receiver.bodies("push")]
    assert options == [{}, {"ci": {"skip": True}}, {"ci": {"skip": True}}]


async def test_sr_33_ci_skip_does_not_hold_back_a_pipeline_of_the_merge_request(scene, bot):
    scene.gitlab.settings.merge_request_pipelines = True
    sha = await cloned(scene, bot)
    await bot.ok("push", "--quiet", "-o", "ci.skip", "origin", "feature")
    [pipeline] = scene.gitlab.pipelines(scene.project, sha=sha)
    assert pipeline.source == "merge_request_event"


async def test_behaviour_43_a_push_may_land_though_its_answer_is_lost(scene, bot):
    sha = await cloned(scene, bot)
    scene.gitlab.faults.add(method="POST", path="git-receive-pack$", commit=True, drop=True)
    code, _ = await bot.run("push", "origin", "feature")
    assert code != 0
    assert scene.project.repository.branch("feature") == sha
    assert (await scene.bot.get(scene.api)).body["sha"] == sha
    _, output = await bot.run("push", "origin", "feature")
    assert "Everything up-to-date" in output


async def test_behaviour_43_a_large_push_too_though_git_asks_first(scene, bot):
    await bot.clone(scene.project.http_url, "--branch", "feature")
    # More than http.postBuffer: git sends four bytes first, to see whether it may come in.
    await bot.ok("config", "http.postBuffer", "65536")
    await bot.ok("config", "core.compression", "0")
    sha = await bot.commit_file("large.txt", "many words\n" * 20_000)
    scene.gitlab.faults.add(method="POST", path="git-receive-pack$", commit=True, drop=True)
    code, _ = await bot.run("push", "origin", "feature")
    assert (code != 0, scene.project.repository.branch("feature")) == (True, sha)


async def test_a_push_that_hangs_ends_when_the_client_gives_up(scene, bot):
    await cloned(scene, bot)
    scene.gitlab.faults.add(method="POST", path="git-receive-pack$", hang=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await bot.run("push", "origin", "feature")
    assert scene.project.repository.branch("feature") == scene.merge_request.head_sha


async def test_deleting_the_source_branch_closes_its_merge_request(scene, bot):
    await cloned(scene, bot)
    await bot.ok("push", "--quiet", "origin", ":feature")
    assert scene.merge_request.state == "closed"
    await scene.gitlab.settle()
    assert scene.receiver.bodies()[-1]["object_attributes"]["action"] == "close"


# --- forks ------------------------------------------------------------------------


@pytest.fixture
async def fork(scene):
    """A public fork of erin's with an open merge request; Developers may merge to main."""
    erin = scene.gitlab.add_user("erin")
    scene.project.visibility = "public"
    scene.gitlab.protect_branch(scene.project, "main", merge=30)
    fork = scene.gitlab.fork_project(scene.project, "erin/app", visibility="public", owner=erin)
    scene.gitlab.commit(fork, branch="fix", files={"f.py": "f\n"}, author=erin)
    return fork


async def opened(scene, fork, *, collaboration):
    return await scene.gitlab.open_merge_request(
        scene.project, source_branch="fix", source_project=fork, allow_collaboration=collaboration
    )


async def test_behaviour_47_a_developer_of_the_target_pushes_to_the_fork_where_allowed(
    scene, bot, fork
):
    theirs = await opened(scene, fork, collaboration=True)
    path = f"/projects/{scene.project.id}/merge_requests/{theirs.iid}"
    assert (await scene.bot.get(path)).body["allow_collaboration"] is True
    before = theirs.head_sha
    await bot.clone(fork.http_url, "--branch", "fix")
    sha = await bot.commit_file("x.py")
    branch = f"/projects/{fork.id}/repository/branches/fix"
    assert (await scene.bot.get(branch)).body["can_push"] is True
    await bot.ok("push", "--quiet", "origin", "fix")
    assert (theirs.head_sha, (await scene.bot.get(path)).body["sha"]) == (sha, sha)
    await scene.gitlab.settle()
    last = scene.receiver.bodies()[-1]
    assert last["project"]["id"] == scene.project.id
    assert last["object_attributes"]["oldrev"] == before
    assert last["object_attributes"]["source_project_id"] == fork.id
    code, output = await bot.run("push", "origin", "HEAD:refs/heads/elsewhere")
    assert (code, "GitLab: You are not allowed to push code to this project." in output) == (
        1,
        True,
    )


@pytest.mark.parametrize("why", ["not allowed", "closed", "may not merge"])
async def test_behaviour_47_and_gets_refused_where_not(scene, bot, fork, why):
    theirs = await opened(scene, fork, collaboration=why != "not allowed")
    if why == "closed":
        await scene.gitlab.close(theirs)
    if why == "may not merge":
        scene.gitlab.protect_branch(scene.project, "main")
    await bot.clone(fork.http_url, "--branch", "fix")
    await bot.commit_file("x.py")
    code, output = await bot.run("push", "origin", "fix")
    assert (code, "You are not allowed to push code to this project." in output) == (128, True)


async def test_behaviour_47_a_private_fork_does_not_exist_for_others(scene, bot, fork):
    fork.visibility = "private"
    theirs = await opened(scene, fork, collaboration=True)
    code, output = await bot.run("ls-remote", fork.http_url)
    assert (code, "not found" in output) == (128, True)
    assert (await scene.bot.get(f"/projects/{fork.id}")).status == 404
    path = f"/projects/{scene.project.id}/merge_requests/{theirs.iid}"
    assert (await scene.bot.get(path)).body["source_project_id"] == fork.id
