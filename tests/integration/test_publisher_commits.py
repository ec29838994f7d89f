"""The publisher with real git against a bare repository, killed and repeated (SR-33 to SR-36)."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import replace

import msgspec
import pytest

from libs.common.errors import Temporary
from libs.common.events.tasks import DiffRefs
from services.publisher.handlers import on_event
from services.publisher.repository import GitRepository
from tests.integration.git_door_repository import Origin, link
from tests.unit.publisher.asked import emoji, from_issue, from_note, proposed, replies
from tests.unit.publisher.world import Fragile, Fuse, Killed, World

pytestmark = pytest.mark.real


class RealWorld(World):
    """The world with its repository on disk: `main`, and `topic` one commit ahead of it."""

    def __init__(self, folder, **rules):
        super().__init__(allow_file=True, **rules)
        self.folder = folder
        self.origin = Origin(folder / "origin.git")
        self.origin.git("config", "receive.advertisePushOptions", "true")
        self.base = self.origin.commit("refs/heads/main", {"a.py": b"old = 1\n"})
        self.head = self.origin.commit("refs/heads/topic", {"b.py": b"b = 1\n"}, self.base)
        self.rules = msgspec.structs.replace(self.rules, clones=folder / "clones")
        self.gitlab.set_branch(42, "topic", self.head)

    def ports(self, fuse=None):
        repository = GitRepository("glpat-canary")
        given = Fragile(repository, fuse) if fuse else repository
        return replace(super().ports(fuse), repository=given)

    def tip(self, branch):
        return self.origin.git("rev-parse", f"refs/heads/{branch}")

    def tasks_of(self, branch):
        return self.origin.git("log", "--format=%B", branch).count("Gca-Task:")

    def patch(self, base, files):
        """What `git diff` makes of these files on top of `base`, as the runner hands it in."""
        changed = self.origin.commit("refs/gca/work", files, base)
        options = ("--binary", "--full-index", "--src-prefix=a/", "--dst-prefix=b/")
        made = subprocess.run(
            ["git", "diff", *options, base, changed],
            cwd=self.origin.path,
            capture_output=True,
            check=True,
        )
        return made.stdout

    def note_task(self, **changes):
        refs = DiffRefs(base_sha=self.base, start_sha=self.base, head_sha=self.head)
        return self._here(from_note(self, diff_refs=refs, **changes))

    def issue_task(self):
        refs = DiffRefs(base_sha=self.base, start_sha=self.base, head_sha=self.base)
        return self._here(from_issue(self, diff_refs=refs))

    def _here(self, request):
        push = msgspec.structs.replace(request.push, clone_url=f"file://{self.origin.path}")
        return msgspec.structs.replace(request, push=push)

    async def through(self, request, **changes):
        files = changes.pop("changed", {"a.py": b"new = 1\n"})
        patch = self.patch(request.head_sha, files)
        await self.deliver(await self.started(request))
        await self.deliver(await self.ended(proposed(request, patch=patch, **changes), request))
        return await self.published(request.task_id, place=(request.scope, request.ref))


async def test_sr_36_a_note_becomes_one_commit_on_the_source_branch(tmp_path):
    world = RealWorld(tmp_path)
    request = world.note_task()

    record = await world.through(request)

    assert record.commit_sha == world.tip("topic")
    assert world.head == world.origin.git("rev-parse", "refs/heads/topic~1")
    assert "new = 1" == world.origin.git("show", "topic:a.py")
    message = world.origin.git("log", "-1", "--format=%B", "topic")
    assert message.endswith(f"Requested-by: alice (GitLab user 8)\nGca-Task: {request.task_id}")
    assert [] == list((tmp_path / "clones").iterdir())


@pytest.mark.parametrize("when", ["before", "after"])
async def test_sr_35_killed_around_the_push_a_note_still_ends_in_one_commit(tmp_path, when):
    world = RealWorld(tmp_path)
    request = world.note_task()
    patch = world.patch(world.head, {"a.py": b"new = 1\n"})
    await world.deliver(await world.started(request))
    result = await world.ended(proposed(request, patch=patch), request)
    with pytest.raises(Killed):
        await on_event(result, ports=world.ports(_AtPush(when=when)))
    assert (1 if when == "after" else 0) == world.tasks_of("topic")

    await world.deliver(result)

    assert 1 == world.tasks_of("topic")
    assert 1 == len(replies(world, request))
    assert ["white_check_mark"] == emoji(world, request)


class _LostInTheClone:
    """A lease that is lost while the change is being prepared for its push."""

    def __init__(self, clones):
        self._clones = clones

    @contextlib.asynccontextmanager
    async def held(self, key, *, ttl, wait):  # noqa: ARG002
        yield self

    def check(self):
        if any(self._clones.glob("push-*")):
            raise Temporary("the lease was lost")


async def test_sr_35_a_lease_lost_before_the_push_leaves_the_branch_as_it_is(tmp_path):
    world = RealWorld(tmp_path)
    request = world.note_task()
    patch = world.patch(world.head, {"a.py": b"new = 1\n"})
    result = await world.ended(proposed(request, patch=patch), request)
    await world.started(request)

    with pytest.raises(Temporary, match="was lost"):
        await on_event(
            result, ports=replace(world.ports(), leases=_LostInTheClone(tmp_path / "clones"))
        )

    assert world.head == world.tip("topic")
    assert [] == replies(world, request)
    await world.deliver(result)
    assert 1 == world.tasks_of("topic")


async def test_an_issue_becomes_one_branch_with_one_commit(tmp_path):
    world = RealWorld(tmp_path)
    request = world.issue_task()
    # The fake GitLab does not look into the repository.
    world.gitlab.set_branch(42, request.push.branch, "e" * 40)

    record = await world.through(request)

    assert record.commit_sha == world.tip(request.push.branch)
    assert world.base == world.origin.git("rev-parse", f"{request.push.branch}~1")
    assert 1 == len(world.jira.bodies(world.issue))
    assert record.merge_request_iid


async def test_sr_35_a_branch_that_moved_on_gets_the_change_on_top(tmp_path):
    world = RealWorld(tmp_path)
    request = world.note_task()
    newer = world.origin.commit("refs/heads/topic", {"c.py": b"c = 1\n"}, world.head)

    await world.through(request)

    assert newer == world.origin.git("rev-parse", "refs/heads/topic~1")
    assert f"on top of `{newer[:8]}`" in replies(world, request)[0]


async def test_sr_35_a_branch_that_moved_into_the_way_is_left_alone(tmp_path):
    world = RealWorld(tmp_path)
    request = world.note_task()
    newer = world.origin.commit("refs/heads/topic", {"a.py": b"other = 2\n"}, world.head)

    record = await world.through(request)

    assert newer == world.tip("topic")
    assert ("refused", "branch moved") == (record.outcome, record.detail)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({".gitlab-ci.yml": b"evil: {}\n"}, "protected"),
        ({"ci/build.yml": b"evil: {}\n"}, "protected"),
        ({"deploy/x.sh": b"evil\n"}, "protected"),
        ({"link": link("/etc/passwd")}, "link"),
    ],
)
async def test_sr_32_what_the_policy_refuses_reaches_no_branch(tmp_path, changed, rule):
    world = RealWorld(tmp_path, protected_paths=("deploy/**",), allow_protected=True)
    world.gitlab.files[42, "main", ".gitlab-ci.yml"] = b"include:\n  - local: ci/build.yml\n"
    request = world.note_task()

    record = await world.through(request, changed=changed)

    assert world.head == world.tip("topic")
    assert ("refused", f"patch policy: {rule}") == (record.outcome, record.detail)


async def test_sr_32_a_maintainer_may_where_the_operator_allows_it(tmp_path):
    world = RealWorld(tmp_path, allow_protected=True)
    request = world.note_task()
    maintainer = msgspec.structs.replace(request.requester, access_level=40)
    request = msgspec.structs.replace(request, requester=maintainer)

    record = await world.through(request, changed={".gitlab-ci.yml": b"job: {}\n"})

    assert "posted" == record.outcome
    assert record.commit_sha == world.tip("topic")


class _AtPush(Fuse):
    """Kills around the push."""

    def before(self, name: str) -> None:
        if (name, self.when) == ("push", "before"):
            raise Killed

    def after(self, name: str) -> None:
        if (name, self.when) == ("push", "after"):
            raise Killed
