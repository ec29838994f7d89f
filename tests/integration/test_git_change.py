"""A change reaches its branch once, over the simulated GitLab's smart HTTP (SR-33 to SR-37)."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import msgspec
import pytest

from libs.common.git.change import Pushed, PushOrder, apply_and_push, find_pushed
from libs.common.git.commit import CommitText, Signature
from libs.common.git.errors import (
    AuthFailed,
    CloneFailed,
    GitError,
    GitTimedOut,
    HostAway,
    RefGone,
    basic_credentials,
)
from libs.common.git.push_errors import (
    BranchTaken,
    ChangeRefused,
    MaybePushed,
    MovedBranch,
    NothingToPush,
    PatchDoesNotApply,
    ProtectedBranch,
    PushDeclined,
)
from services.publisher.patches import PatchPolicy
from tests.simulators.gitlab import running_gitlab

pytestmark = pytest.mark.real

looks_at_processes = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="needs /proc to see other processes"
)

TASK = "coding-1-7-n1001"
FILES = {
    "README.md": "# shop\n\nA small shop.\n",
    "cart.py": "".join(f"line {number}\n" for number in range(1, 30)),
}
PATCH = """\
diff --git a/cart.py b/cart.py
index {old}..1111111111111111111111111111111111111111 100644
--- a/cart.py
+++ b/cart.py
@@ -1,3 +1,3 @@
 line 1
-line 2
+line two
 line 3
diff --git a/tax.py b/tax.py
new file mode 100644
index 0000000000000000000000000000000000000000..1111111111111111111111111111111111111111
--- /dev/null
+++ b/tax.py
@@ -0,0 +1 @@
+TAX = 0.2
"""


class Shop:
    """A project whose branch `feature` is one commit ahead of `main`, and an order to change it."""

    def __init__(self, gitlab, folder):
        self.gitlab = gitlab
        self.folder = folder
        self.project = gitlab.create_project("group/shop", files=FILES)
        self.repository = self.project.repository
        self.head = gitlab.commit(self.project, branch="feature", files={"README.md": "# shop\n"})
        self.token = gitlab.write_token

    @property
    def patch(self):
        return PATCH.format(old=self.repository.text("rev-parse", f"{self.head}:cart.py")).encode()

    def order(self, **changes):
        given = {
            "folder": self.folder / "clone",
            "clone_url": self.project.http_url,
            "branch": "feature",
            "base_sha": self.head,
            "patch": self.patch,
            "commit": CommitText(
                author=Signature(name="Copilot Agent", email="bot@example.com"),
                when=1_700_000_000,
                subject="Add tax",
                trailers=(("Requested-by", "alice"),),
            ),
            "task_id": TASK,
            "never_to": ("main", "release/*"),
            "timeout": 30.0,
        }
        return PushOrder(**(given | changes))

    async def push(self, policy=None, **changes):
        order = self.order(**changes)
        return await apply_and_push(order, token=self.token, policy=policy or PatchPolicy())

    def tip(self, branch="feature"):
        return self.repository.branch(branch)

    def moved(self, **files):
        names = {name.replace("_", "."): content for name, content in files.items()}
        return self.gitlab.commit(self.project, branch="feature", files=names)

    def pushes(self):
        return len(self.gitlab.log.matching("POST", "git-receive-pack"))

    def hook(self, name, script):
        """A hook of the server; GitLab's own refusals are a pre-receive hook, too."""
        place = self.repository.path / "hooks" / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"#!/bin/sh\n{script}\n")
        place.chmod(0o755)

    def tasks_of(self, branch="feature"):
        messages = self.repository.text("log", "--format=%B", branch)
        return messages.count(f"Gca-Task: {TASK}")


@pytest.fixture
async def shop(tmp_path):
    async with running_gitlab(tmp_path / "gitlab") as gitlab:
        yield Shop(gitlab, tmp_path)


async def test_sr_36_a_patch_becomes_one_commit_of_the_bot_on_the_branch(shop):
    pushed = await shop.push()

    assert Pushed(sha=shop.tip(), files=("cart.py", "tax.py")) == pushed
    made = shop.repository.one_commit(pushed.sha)
    assert ((shop.head,), "Copilot Agent", "bot@example.com") == (
        made.parents,
        made.author_name,
        made.author_email,
    )
    assert f"Add tax\n\nRequested-by: alice\nGca-Task: {TASK}\n" == made.message
    assert b"TAX = 0.2\n" == shop.repository.file(pushed.sha, "tax.py")
    assert "line two" in shop.repository.file(pushed.sha, "cart.py").decode()
    assert not (shop.folder / "clone").exists()


async def test_the_same_order_makes_the_same_commit_elsewhere(shop, tmp_path):
    here = await shop.push(branch="agent/1", new_branch=True)
    there = await shop.push(branch="agent/2", new_branch=True, folder=tmp_path / "other")

    assert (here.sha, False, False) == (there.sha, here.already, there.already)


async def test_sr_33_a_push_asks_for_no_pipeline_unless_told_otherwise(shop, tmp_path):
    told = tmp_path / "options"
    shop.hook("pre-receive", f'echo "$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0" >> {told}')

    await shop.push()
    await shop.push(branch="agent/1", new_branch=True, push_options=())

    assert ["1 ci.skip", "0 "] == told.read_text().splitlines()


async def test_a_server_without_push_options_is_named_with_its_setting(shop):
    shop.repository.git("config", "receive.advertisePushOptions", "false")

    with pytest.raises(PushDeclined, match="PUSH_CI_SKIP=false"):
        await shop.push()


async def test_a_repeat_pushes_nothing_and_answers_the_same(shop):
    first = await shop.push()
    pushes = shop.pushes()

    again = await shop.push()

    assert msgspec.structs.replace(first, already=True) == again
    assert pushes == shop.pushes()


async def test_a_commit_below_others_is_found_again(shop):
    first = await shop.push()
    later = shop.moved(README_md="# more\n")

    again = await shop.push()
    onto = await shop.push(onto_sha=later)

    assert [(first.sha, first.files, True)] * 2 == [
        (one.sha, one.files, one.already) for one in (again, onto)
    ]
    assert (later, 1) == (shop.tip(), shop.tasks_of())


async def test_sr_35_killed_after_the_push_the_second_run_pushes_nothing(shop, tmp_path):
    landed, release = tmp_path / "landed", tmp_path / "release"
    shop.hook("post-receive", f"touch {landed}; {until(release)}")
    running = asyncio.create_task(shop.push())
    await appears(landed)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    pushes, tip = shop.pushes(), shop.tip()
    again = await shop.push()
    release.touch()

    assert Pushed(sha=tip, files=("cart.py", "tax.py"), already=True) == again
    assert (pushes, 1) == (shop.pushes(), shop.tasks_of())


async def test_a_push_without_an_answer_may_have_been_done_and_is_found(shop, tmp_path):
    release = tmp_path / "release"
    shop.hook("post-receive", until(release))

    with pytest.raises(MaybePushed) as caught:
        await shop.push(timeout=4.0)
    again = await shop.push()
    release.touch()

    assert caught.value.maybe_done
    assert (shop.tip(), True, 1) == (again.sha, again.already, shop.tasks_of())


async def test_two_publishers_at_once_end_in_one_commit(shop, tmp_path):
    orders = [shop.push(folder=tmp_path / name) for name in ("one", "two")]
    ends = await asyncio.gather(*orders, return_exceptions=True)

    shas = {end.sha for end in ends if isinstance(end, Pushed)}
    assert {shop.tip()} == shas
    assert 1 == shop.tasks_of()
    assert all(isinstance(end, Pushed | MovedBranch) for end in ends)


async def test_a_patch_of_almost_ten_megabytes_passes(shop):
    lines = "".join(f"+{os.urandom(36).hex()}\n" for _ in range(130_000))
    head = PATCH.format(old="2" * 40).split("diff --git a/tax.py")[1]
    head = head.replace("+TAX = 0.2\n", lines).replace("+1 @@", "+1,130000 @@")

    pushed = await shop.push(patch=f"diff --git a/tax.py{head}".encode())

    assert ("tax.py",) == pushed.files
    assert lines.replace("+", "").encode() == shop.repository.file(pushed.sha, "tax.py")


# --- branches that are not where they should be --------------------------------------


async def test_sr_35_a_moved_branch_is_refused_and_named(shop):
    later = shop.moved(README_md="# more\n")

    with pytest.raises(MovedBranch) as caught:
        await shop.push()

    assert (later, later, 0) == (caught.value.tip, shop.tip(), shop.pushes())


async def test_sr_35_a_patch_that_still_applies_goes_onto_the_moved_head(shop):
    lines = FILES["cart.py"].replace("line 20\n", "line twenty\n")
    later = shop.moved(cart_py=lines)

    pushed = await shop.push(onto_sha=later)

    assert (later,) == shop.repository.one_commit(pushed.sha).parents
    cart = shop.repository.file(pushed.sha, "cart.py").decode()
    assert ("line two" in cart, "line twenty" in cart) == (True, True)


async def test_a_neighbouring_change_is_merged_three_ways(shop):
    """Without the blob the patch was made on, the context would not fit."""
    later = shop.moved(cart_py=FILES["cart.py"].replace("line 3\n", "line 3\nline 3a\n", 1) + "z\n")
    moved = "zero\n" * 40 + shop.repository.file(later, "cart.py").decode()
    later = shop.moved(cart_py=moved)

    pushed = await shop.push(onto_sha=later)

    cart = shop.repository.file(pushed.sha, "cart.py").decode()
    assert moved.replace("line 2\n", "line two\n", 1) == cart


async def test_a_patch_that_no_longer_applies_says_where(shop):
    later = shop.moved(cart_py=FILES["cart.py"].replace("line 2\n", "second\n"))

    with pytest.raises(PatchDoesNotApply, match=r"cart\.py"):
        await shop.push(onto_sha=later)
    assert (later, 0) == (shop.tip(), shop.pushes())


async def test_a_patch_that_is_there_already_leaves_nothing_to_push(shop):
    cart = FILES["cart.py"].replace("line 2\n", "line two\n")
    later = shop.moved(cart_py=cart, tax_py="TAX = 0.2\n")

    with pytest.raises(NothingToPush):
        await shop.push(onto_sha=later)
    with pytest.raises(NothingToPush):
        await shop.push(patch=b" \n")


async def test_sr_35_a_branch_that_moves_during_the_push_stays_as_it_is(shop):
    later = ""

    def move(_patch, _tree):
        nonlocal later
        later = shop.moved(README_md="# more\n")

    with pytest.raises(MovedBranch):
        await shop.push(policy=Judge(move))
    assert later == shop.tip()


async def test_sr_35_a_branch_set_back_during_the_push_is_not_pushed_forward_again(shop):
    """What was taken off the branch does not come back."""
    later = shop.moved(README_md="# a secret\n")

    def set_back(_patch, _tree):
        shop.repository.set_ref("refs/heads/feature", shop.head)

    with pytest.raises(MovedBranch):
        await shop.push(policy=Judge(set_back), onto_sha=later)
    assert shop.head == shop.tip()


async def test_a_branch_that_is_gone_before_or_during_is_not_made_again(shop):
    def delete(_patch, _tree):
        shop.repository.set_ref("refs/heads/feature", None)

    with pytest.raises(MovedBranch):
        await shop.push(policy=Judge(delete))
    with pytest.raises(RefGone, match="feature"):
        await shop.push()
    assert shop.tip() is None


async def test_a_new_branch_is_made_once_and_found_again(shop):
    order = {"branch": "agent/SHOP-7", "new_branch": True}

    first = await shop.push(**order)
    again = await shop.push(**order)

    assert (first.sha, True) == (again.sha, again.already)
    assert first.sha == shop.tip("agent/SHOP-7")


async def test_to_look_for_the_commit_pushes_nothing(shop):
    assert await find_pushed(shop.order(), token=shop.token) is None
    assert await find_pushed(shop.order(branch="agent/none"), token=shop.token) is None

    pushed = await shop.push()
    shop.moved(README_md="# later\n")

    found = await find_pushed(shop.order(), token=shop.token)
    assert found is not None
    assert (pushed.sha, pushed.files, True) == (found.sha, found.files, found.already)
    other = shop.order(task_id="coding-1-7-n1002")
    assert await find_pushed(other, token=shop.token) is None
    assert 1 == shop.pushes()
    assert not (shop.folder / "clone").exists()


async def test_sr_35_a_new_branch_of_somebody_else_is_left_alone(shop):
    theirs = shop.gitlab.commit(shop.project, branch="agent/SHOP-7", files={"x.md": "mine\n"})

    with pytest.raises(BranchTaken) as caught:
        await shop.push(branch="agent/SHOP-7", new_branch=True)
    assert (theirs, theirs) == (caught.value.tip, shop.tip("agent/SHOP-7"))


async def test_sr_35_a_new_branch_that_appears_during_the_push_is_left_alone(shop):
    def take(_patch, _tree):
        # An ancestor: only the lease keeps a push from going onto it.
        shop.repository.set_ref("refs/heads/agent/SHOP-7", shop.head)

    with pytest.raises(BranchTaken):
        await shop.push(policy=Judge(take), branch="agent/SHOP-7", new_branch=True)
    assert shop.head == shop.tip("agent/SHOP-7")


async def test_a_branch_in_the_way_of_a_folder_is_a_refusal_that_stays(shop):
    shop.repository.set_ref("refs/heads/agent", shop.head)

    with pytest.raises(PushDeclined, match="cannot create"):
        await shop.push(branch="agent/SHOP-7", new_branch=True)


async def test_a_new_branch_on_a_target_that_moved_on_sends_only_what_is_new(shop):
    big = {f"big/{number}.bin": os.urandom(20_000) for number in range(20)}
    base = shop.gitlab.commit(shop.project, branch="main", files=big)
    shop.gitlab.commit(shop.project, branch="main", files={"x.md": "x\n"})
    for ref in shop.repository.refs("refs/keep-around/"):
        shop.repository.set_ref(ref, None)  # else the server would tell that it has the base
    shop.repository.git("config", "receive.maxInputSize", "50000")

    pushed = await shop.push(base_sha=base, branch="agent/SHOP-7", new_branch=True)

    assert (base,) == shop.repository.one_commit(pushed.sha).parents


# --- what we and the server refuse -----------------------------------------------------


@pytest.mark.parametrize("branch", ["main", "release/1", "release/1/2"])
async def test_sr_35_the_default_and_protected_branches_are_refused_before_anything(shop, branch):
    with pytest.raises(ProtectedBranch, match=branch):
        await shop.push(branch=branch)
    with pytest.raises(ProtectedBranch):
        await shop.push(branch=branch, new_branch=True)
    assert [] == shop.gitlab.log.matching("", r"\.git/")


@pytest.mark.parametrize(
    "branch",
    [
        *("", "-f", "a b", "a..b", "refs:x", "a/.b", "a.lock", "HEAD", "a/", "x~1", "*", "a.", "@"),
        *("feature:refs/heads/main", "a\nb", "a/-b"),
    ],
)
async def test_a_branch_with_a_strange_name_is_refused_before_anything(shop, branch):
    with pytest.raises(CloneFailed):
        await shop.push(branch=branch)
    assert [] == shop.gitlab.log.matching("", r"\.git/")


async def test_a_plus_is_a_letter_of_a_branch_and_no_order_to_force(shop):
    with pytest.raises(RefGone):
        await shop.push(branch="+feature")


async def test_sr_35_a_branch_protected_by_the_server_is_refused_in_its_words(shop):
    words = "GitLab: You are not allowed to push code to protected branches on this project."
    shop.hook("pre-receive", f'echo "{words}" >&2; exit 1')

    with pytest.raises(ProtectedBranch) as caught:
        await shop.push()

    assert words.removeprefix("GitLab: ") == caught.value.said
    assert shop.head == shop.tip()


async def test_a_push_rule_of_the_server_is_told_in_its_words(shop):
    shop.hook(
        "pre-receive", 'echo "GitLab: Commit message does not follow the pattern" >&2; exit 1'
    )

    with pytest.raises(PushDeclined, match="does not follow the pattern") as caught:
        await shop.push()
    assert PushDeclined is type(caught.value)


async def test_sr_34_what_the_policy_refuses_is_neither_committed_nor_pushed(shop):
    patch = PATCH.format(old="2" * 40).replace("tax.py", ".gitlab-ci.yml").encode()

    with pytest.raises(ChangeRefused) as caught:
        await shop.push(patch=patch)

    assert ("protected", (".gitlab-ci.yml",)) == (
        caught.value.refusal.rule,
        caught.value.refusal.paths,
    )
    assert (shop.head, 0) == (shop.tip(), shop.pushes())


async def test_a_token_that_may_not_is_named_by_its_setting(shop):
    for token in ("glpat-wrong", shop.gitlab.read_token):
        shop.token = token
        with pytest.raises(AuthFailed, match="GITLAB_TOKEN"):
            await shop.push()
    assert shop.head == shop.tip()


async def test_before_the_push_a_server_that_is_away_is_just_away(shop):
    url = "http://127.0.0.1:1/group/shop.git"
    with pytest.raises(HostAway):
        await shop.push(clone_url=url)
    with pytest.raises(GitTimedOut):
        await shop.push(timeout=0.0)


async def test_a_commit_that_is_gone_is_named(shop):
    later = shop.moved(README_md="# more\n")
    shop.repository.set_ref("refs/heads/feature", shop.head)
    await shop.gitlab.force_push(shop.project, branch="feature", sha=later)

    pushed = await shop.push(base_sha="ab" * 20, onto_sha=later)

    assert (later,) == shop.repository.one_commit(pushed.sha).parents


# --- nothing runs, nothing shows -------------------------------------------------------


async def test_sr_34_nothing_of_the_repository_runs_and_no_file_is_written(shop, tmp_path):
    trap = tmp_path / "trap"
    evil = {
        ".gitattributes": "* filter=evil diff=evil merge=evil text eol=crlf\n",
        ".gitconfig": f'[filter "evil"]\n\tclean = touch {trap}\n\tsmudge = touch {trap}\n',
        ".githooks/pre-push": f"#!/bin/sh\ntouch {trap}\n",
        "hooks/pre-commit": f"#!/bin/sh\ntouch {trap}\n",
    }
    later = shop.gitlab.commit(shop.project, branch="feature", files=evil)
    seen = []

    def look(_patch, _tree):
        seen.extend(path.name for path in (tmp_path / "clone").iterdir())

    pushed = await shop.push(policy=Judge(look), base_sha=later)

    assert [".git"] == seen
    assert not trap.exists()
    assert b"TAX = 0.2\n" == shop.repository.file(pushed.sha, "tax.py")


@looks_at_processes
async def test_sr_39_while_it_pushes_the_token_is_in_no_argument_and_no_file(shop, tmp_path):
    inside, release = tmp_path / "inside", tmp_path / "release"
    shop.hook("pre-receive", f"touch {inside}; {until(release)}")
    running = asyncio.create_task(shop.push())
    await appears(inside)

    words = b"\0".join(arguments())
    files = [path.read_bytes() for path in (tmp_path / "clone").rglob("*") if path.is_file()]
    release.touch()
    await running

    assert b"--force-with-lease=refs/heads/feature:" in words
    assert len(files) > 5
    assert [] == [form for form in forms(shop.token) if form in words + b"\n".join(files)]
    assert b"remote" not in (b"".join(file for file in files if b"[core]" in file))


async def test_sr_37_no_way_to_fail_shows_the_token(shop, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    shop.hook("pre-receive", f'echo "GitLab: {shop.token} is refused" >&2; exit 1')
    later = shop.moved(README_md="# more\n")
    ways = [
        {"onto_sha": later},
        {},
        {"branch": "gone"},
        {"branch": "agent/1", "new_branch": True},
        {"base_sha": later, "patch": b"diff --git a/x b/x\n"},
        {"clone_url": shop.project.http_url.replace("shop", "other")},
        {"clone_url": shop.project.http_url.replace("://", f"://oauth2:{shop.token}@")},
        {"clone_url": "http://127.0.0.1:1/x.git"},
    ]
    texts = []
    for way in ways:
        with pytest.raises(GitError) as caught:
            await shop.push(**way)
        error = caught.value
        texts += [str(error), repr(vars(error)), repr(error.__context__), repr(error.__cause__)]
    kept = [path.read_bytes() for path in tmp_path.rglob("clone/**/*") if path.is_file()]

    shown = ("".join(texts) + caplog.text).encode() + b"".join(kept)
    assert [] == [form for form in forms(shop.token) if form in shown]


class Judge:
    """A policy that does something while the tree is judged, and allows it."""

    def __init__(self, act):
        self._act = act

    def judge_patch(self, _patch):
        return None

    def judge_tree(self, patch, tree):
        return self._act(patch, tree)


def until(path):
    """Shell: waits for a file, for twenty seconds at most."""
    return f'for _ in $(seq 400); do [ -e "{path}" ] && break; sleep 0.05; done'


async def appears(path):
    async with asyncio.timeout(20):
        while not path.exists():  # noqa: ASYNC110  # a hook of the server tells nobody else
            await asyncio.sleep(0.01)


def arguments():
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                yield (folder / "cmdline").read_bytes()
            except OSError:
                continue


def forms(token):
    return [token.encode(), basic_credentials(token).encode()]
