"""SR-32, SR-34: every patch of the hostile corpus against the real git, up to the branch."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.git.change import Pushed, PushOrder, apply_and_push
from libs.common.git.commit import CommitText, Signature
from libs.common.git.push_errors import ChangeRefused, NothingToPush, PatchDoesNotApply
from services.publisher.patches import PatchPolicy, read_patch
from tests.integration.git_door_repository import Origin
from tests.unit.patches.corpus import BASE, CASES, CI_INCLUDES, names, patch_of, shop

pytestmark = pytest.mark.real

POLICY = PatchPolicy(ci_includes=CI_INCLUDES)
ENDS = {ChangeRefused: "refused", PatchDoesNotApply: "does_not_apply", NothingToPush: "nothing"}


class TreeOnly:
    """A publisher that never looked at the patch: the tree alone has to give it away."""

    def judge_patch(self, _patch):
        return None

    def judge_tree(self, _patch, tree):
        named = (quoted(path) for change in tree.changes for path in change.paths)
        patch = "".join(f'diff --git "a/{path}" "b/{path}"\n' for path in named)
        return POLICY.judge_tree(patch.encode(), tree)


def quoted(path):
    return "".join(f"\\{byte:03o}" for byte in path.encode(errors="surrogateescape"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return folder, *shop(folder / "shop.git")


def order_of(place, name, branch):
    folder, _, base = place
    return PushOrder(
        folder=folder / "clone",
        clone_url=f"file://{folder}/shop.git",
        branch=branch,
        new_branch=True,
        base_sha=base,
        patch=patch_of(name),
        commit=CommitText(
            author=Signature(name="Bot", email="bot@example.com"), when=1_700_000_000, subject="x"
        ),
        task_id=f"coding-1-1-{name}",
        never_to=("main",),
        push_options=(),
        allow_file=True,
        timeout=30.0,
    )


async def end_of(order, policy):
    try:
        return "pushed", await apply_and_push(order, token="", policy=policy)
    except tuple(ENDS) as error:
        return ENDS[type(error)], error


def modes_on(place, branch):
    return set(place[1].git("ls-tree", "-r", "--format=%(objectmode)", branch).split())


@pytest.mark.parametrize("name", sorted(CASES))
async def test_a_patch_ends_as_it_should_and_leaves_nothing_behind(place, name):
    case = CASES[name]
    branch = f"whole/{name}"

    end, what = await end_of(order_of(place, name, branch), POLICY)

    assert (case["end"], case.get("rule", "")) == (end, getattr(rule_of(what), "rule", ""))
    assert (end == "pushed") == (branch in place[1].git("branch", "--list", branch))
    assert not (place[0] / "clone").exists()


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if "early" in case and case["rule"] != "size"]
)
async def test_git_and_the_tree_alone_give_a_hostile_patch_away(place, name):
    case = CASES[name]
    branch = f"alone/{name}"
    wanted = {case.get("alone", case["end"])}
    wanted |= set() if wanted == {"pushed"} else {"does_not_apply", "nothing"}

    end, _ = await end_of(order_of(place, name, branch), TreeOnly())

    assert end in wanted
    if end == "pushed":
        assert modes_on(place, branch) <= {"100644", "100755", "120000", "160000"}
        assert modes_of_links(place, branch) <= modes_of_links(place, "main")


@pytest.mark.parametrize("name", names("pushed"))
async def test_files_that_a_patch_does_not_name_stay_byte_for_byte(place, name):
    branch = f"bytes/{name}"

    _, pushed = await end_of(order_of(place, name, branch), POLICY)

    assert isinstance(pushed, Pushed)
    kept = set(BASE) - set(pushed.files)
    assert blobs(place, "main", kept) == blobs(place, branch, kept)


async def test_line_ends_are_kept_though_the_attributes_say_otherwise(place):
    branch = "lines/crlf"

    await end_of(order_of(place, "crlf_kept", branch), POLICY)

    listed = place[1].git("show", f"{branch}:docs/windows.txt")
    assert "one\r\ntwo\r\nthree" == listed


async def test_sr_32_a_maintainer_may_change_protected_paths_where_the_setting_says_so(place):
    wide = msgspec.structs.replace(POLICY, allow_protected=True, requester_access=40)

    for name in ("protected_ci_file", "protected_rename_onto", "protected_ci_include"):
        end, _ = await end_of(order_of(place, name, f"wide/{name}"), wide)
        assert (name, "pushed") == (name, end)
    end, _ = await end_of(order_of(place, "submodule_settings", "wide/no"), wide)
    assert "refused" == end


def rule_of(what):
    return getattr(what, "refusal", None)


def modes_of_links(place, branch):
    rows = place[1].git("ls-tree", "-r", branch).splitlines()
    return {row for row in rows if row[:6] in ("120000", "160000")}


def blobs(place, branch, paths):
    rows = place[1].git("-c", "core.quotePath=false", "ls-tree", "-r", branch).splitlines()
    found = (row.split(None, 2)[2].split("\t") for row in rows)
    return {path: sha for sha, path in found if path in paths}


@pytest.mark.parametrize("renames", ["--find-renames", "--no-renames", "--find-copies-harder"])
def test_whatever_git_writes_is_read_with_all_its_names(tmp_path, renames):
    before = {
        "a b": b"1\n" * 9,
        "tab\there": b"2\n",
        'q"uote': b"3\n",
        "ü b": b"4\n" * 9,
        "empty b": b"",
        "x b/z": b"5\n",
        "no end": b"6",
        "bin b": bytes(range(256)),
    }
    after = {
        "a b": None,
        "c b/d": before["a b"],
        "tab\there": None,
        'q"uote': b"3\n-- a/x\n",
        "ü b": None,
        "ö b": before["ü b"] + b"more\n",
        "empty b": None,
        "émpty": b"",
        "x b/z": b"--- a/x\n+++ b/y\n",
        "no end": b"6\n",
        "bin b": bytes(range(255, 0, -1)),
    }
    origin = Origin(tmp_path / "odd.git")
    base = origin.commit("refs/heads/main", before)
    head = origin.commit("refs/heads/main", after, base)
    written = tmp_path / "patch"

    style = ("--binary", "--full-index", "--src-prefix=a/", "--dst-prefix=b/", renames)
    origin.git("diff", *style, f"--output={written}", base, head)

    assert {*before, *after} == set(read_patch(written.read_bytes()).paths)
    assert PatchPolicy().judge_patch(written.read_bytes()).rule == "path"  # the tab
