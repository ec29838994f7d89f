"""The patch policy, decided without git (SR-32, SR-34)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.git.tree import ProposedTree, TreeChange, parse_changes, parse_modes
from services.publisher.patches import PatchPolicy, UnreadablePatch, name_problem, read_patch
from services.publisher.patches.names import fold
from tests.unit.patches.corpus import CASES, FOLDER, patch_of

POLICY = PatchPolicy(ci_includes=("/ci/*.yml",))


def change(path, *, old="100644", new="100644", status="M", was=""):
    return TreeChange(
        status=status, old_path=was or path, new_path=path, old_mode=old, new_mode=new
    )


def added(path, mode="100644"):
    return change(path, old="000000", new=mode, status="A")


def deleted(path, mode="100644"):
    return change(path, old=mode, new="000000", status="D")


def judged(*changes, policy=POLICY, tree=(), links=()):
    """The refusal's rule; the patch names whatever changes."""
    quoted = (
        "".join(f"\\{byte:03o}" for byte in path.encode(errors="surrogateescape"))
        for one in changes
        for path in one.paths
    )
    patch = "".join(f'diff --git "a/{path}" "b/{path}"\n' for path in quoted).encode()
    modes = dict.fromkeys(tree, "100644") | dict.fromkeys(links, "120000")
    modes |= {one.new_path: one.new_mode for one in changes if one.new_mode != "000000"}
    refusal = policy.judge_tree(patch, ProposedTree(changes=changes, modes=modes))
    return refusal.rule if refusal else None


def test_every_patch_of_the_corpus_has_an_expectation_and_the_other_way_round():
    assert sorted(CASES) == sorted(path.stem for path in FOLDER.glob("*.patch"))


@pytest.mark.parametrize("name", [name for name in CASES if name != "empty"])
def test_a_patch_is_refused_before_git_reads_it_when_its_headers_give_it_away(name):
    refusal = POLICY.judge_patch(patch_of(name))

    wanted = CASES[name].get("rule") if CASES[name].get("early") else None
    assert wanted == (refusal.rule if refusal else None)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.get("early")])
def test_a_refusal_is_a_sentence_that_shows_nothing_raw(name):
    sentence = POLICY.judge_patch(patch_of(name)).sentence

    assert sentence.isprintable()
    assert sentence.endswith(".")
    assert len(sentence) < 300


@pytest.mark.parametrize(
    "path",
    [
        ".gitlab-ci.yml",
        ".GitLab-CI.YML",
        "sub/x.gitlab-ci.yml",
        ".gitlab/ci/a.yml",
        ".gitlab",
        ".github/workflows/x.yml",
        ".claude/settings.json",
        ".husky/pre-push",
        "hooks/pre-push",
        "CODEOWNERS",
        "docs/codeowners",
        "a/b/.gitattributes",
        "AGENTS.md",
        "sub/Claude.md",
        "ci/build.yml",
        "CI/Build.yml",
        ".gitlab\uff0dci.yml",
        "CODEOWNER\u017f",
    ],
)
def test_sr_32_a_protected_path_is_blocked_in_any_spelling_and_any_way(path):
    free = "docs/x.txt"
    ways = [
        change(path),
        added(path),
        deleted(path),
        change(path, new="100755"),
        change(path, status="R", was=free),
        change(free, status="R", was=path),
        change(path, status="C", was=free),
    ]

    assert ["protected"] * len(ways) == [judged(way) for way in ways]


@pytest.mark.parametrize(
    ("allow", "access", "rule"),
    [
        (False, 30, "protected"),
        (False, 50, "protected"),
        (True, 30, "protected"),
        (True, 0, "protected"),
        (True, 40, None),
        (True, 50, None),
    ],
)
def test_sr_32_a_protected_path_needs_the_setting_and_a_maintainer(allow, access, rule):
    policy = PatchPolicy(allow_protected=allow, requester_access=access)

    assert rule == judged(change(".gitlab-ci.yml"), policy=policy)


def test_the_refusal_says_what_is_missing():
    tree = ProposedTree(changes=(change(".gitlab-ci.yml"),), modes={})
    patch = b"diff --git a/.gitlab-ci.yml b/.gitlab-ci.yml\nold mode 100644\nnew mode 100755\n"
    closed, opened = PatchPolicy(), PatchPolicy(allow_protected=True, requester_access=30)

    assert "ALLOW_PROTECTED_PATHS=true" in closed.judge_tree(patch, tree).sentence
    assert "ALLOW_PROTECTED_PATHS" not in opened.judge_tree(patch, tree).sentence
    assert (".gitlab-ci.yml",) == opened.judge_tree(patch, tree).paths


@pytest.mark.parametrize(
    "path",
    [
        "shop/cart.py",
        "gitlab-ci.md",
        "docs/github/x.md",
        ".gitignore",
        "src/hooks/use.ts",
        "größe/ü.md",
    ],
)
def test_an_ordinary_path_is_free(path):
    assert judged(added(path)) is None


@pytest.mark.parametrize(
    "entry",
    [
        added("x", "120000"),
        change("x", old="120000", new="120000"),
        change("x", new="120000", status="T"),
        change("x", old="120000", status="T"),
        change("x", old="120000", new="120000", status="R", was="y"),
    ],
)
def test_sr_34_a_link_is_neither_made_nor_changed(entry):
    assert "link" == judged(entry)


def test_sr_34_a_link_may_go_away_but_nothing_may_take_its_place():
    assert judged(deleted("x", "120000")) is None
    assert "link" == judged(deleted("x", "120000"), added("x/y"))
    assert "link" == judged(deleted("X", "120000"), added("x/y"))


@pytest.mark.parametrize("path", ["Link/x", "link\u200b/x", "LINK./x"])
def test_sr_34_nothing_is_written_behind_a_link_of_the_tree_in_disguise(path):
    assert judged(change(path), links=["link"]) in ("link", "path")
    assert judged(added(path), links=["link"]) in ("link", "path")


def test_a_file_beside_a_link_is_free():
    assert judged(change("linked/x"), links=["link"]) is None


@pytest.mark.parametrize(
    "entry",
    [added("x", "160000"), deleted("x", "160000"), change("x", old="160000", new="160000")],
)
def test_sr_34_a_submodule_is_left_alone(entry):
    everything = PatchPolicy(allow_protected=True, requester_access=50, protected_paths=())

    assert "submodule" == judged(entry, policy=everything)
    assert "submodule" == judged(change("a/.GITMODULES"), policy=everything)


@pytest.mark.parametrize("mode", ["104755", "100664", "100777", "040000", "000644"])
def test_sr_34_a_strange_mode_is_refused(mode):
    assert "mode" == judged(added("x", mode))


def test_a_difference_that_the_patch_does_not_name_is_refused():
    tree = ProposedTree(changes=(change("a"), change("b")), modes={})
    refusal = POLICY.judge_tree(b"diff --git a/a b/a\nold mode 100644\nnew mode 100755\n", tree)

    assert ("unnamed", ("b",)) == (refusal.rule, refusal.paths)


@pytest.mark.parametrize(
    ("path", "tree"),
    [
        ("readme.md", ["README.md"]),
        ("Src/new.py", ["src/old.py"]),
        ("src", ["SRC/old.py"]),
        ("SRC/old.py/x", ["src/old.py"]),
        ("cafe\u0301.md", ["caf\u00e9.md"]),
    ],
)
def test_a_new_file_whose_name_is_another_s_on_some_system_is_refused(path, tree):
    assert "clash" == judged(added(path), tree=tree)


def test_names_that_clashed_before_stay_editable():
    assert judged(change("readme.md"), tree=["README.md", "readme.md"]) is None


def test_a_rename_that_only_changes_case_is_free():
    assert judged(deleted("Readme.md"), added("README.md")) is None


def test_too_many_files_are_refused_before_and_after():
    policy = PatchPolicy(max_files=2)
    patch = b"".join(
        b"diff --git a/%d b/%d\nold mode 100644\nnew mode 100755\n" % (at, at) for at in range(3)
    )

    assert "files" == policy.judge_patch(patch).rule
    assert "files" == judged(added("a"), added("b"), added("c"), policy=policy)


def test_a_huge_patch_is_refused_unread():
    assert "size" == POLICY.judge_patch(b"x" * (10 * 1024 * 1024 + 1)).rule


def test_a_name_that_is_there_already_may_be_one_windows_cannot_hold():
    assert judged(change("notes:b.txt")) is None
    assert "path" == judged(added("notes:b.txt"))


@pytest.mark.parametrize(
    "path",
    [
        ".git",
        ".GIT/x",
        "a/.Git",
        ".git./x",
        ".git ",
        ".git . ./x",
        "git~1",
        "GIT~12/x",
        ".git:x",
        ".git::$INDEX_ALLOCATION/x",
        ".g\u200cit",
        "\ufeff.git",
        ".gi\u2060t",
        "\uff0egit",
        ".\u24d6it",
        "x\uff0f.git",
    ],
)
def test_sr_34_git_s_own_folder_is_known_in_every_disguise(path):
    assert name_problem(path, new=False) is not None


@pytest.mark.parametrize(
    "path", [".gitignore", ".github/x", "git", "x.git/y", "gitlab", ".gitkeep"]
)
def test_names_that_only_look_like_it_are_free(path):
    assert name_problem(path) is None


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "../a",
            ".. /a",
            "a/. ./b",
            "...",
            "a\\b",
        ),
        *("C:", "C:/x", "c:x", "a\0b", "a\rb", "a\x7fb", "a\u202eb", "a\u2028b", "a\udc80b"),
        *("a\U000e0041b", "a\u3164b", "x" * 256, "é" * 128, "a/" * 2001 + "a"),
    ],
)
def test_sr_34_a_path_that_leads_outside_or_hides_is_refused(path):
    assert name_problem(path, new=False) is not None


@given(st.text(min_size=1, max_size=30))
def test_folding_twice_changes_nothing(path):
    assert fold(path) == fold(fold(path))


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail_in_a_way_of_their_own(patch):
    for text in (patch, b"diff --git a/x b/x\n" + patch):
        with contextlib.suppress(UnreadablePatch):
            read_patch(text)


def test_what_git_prints_is_read():
    raw = (
        b":100644 100755 %b %b M\0a b\0:100644 100644 %b %b R087\0old\0new\xff\0"
        b":120000 000000 %b %b D\0link\0"
    ) % ((b"1" * 40, b"2" * 40) * 3)

    changes = parse_changes(raw)

    assert [("M", ("a b",)), ("R", ("old", "new\udcff")), ("D", ("link",))] == [
        (one.status, one.paths) for one in changes
    ]
    assert ("100644", "100755", "1" * 40, "2" * 40) == (
        changes[0].old_mode,
        changes[0].new_mode,
        changes[0].old_sha,
        changes[0].new_sha,
    )
    assert {"a\tb": "100644", "l": "120000"} == parse_modes(
        b"100644 blob 11\ta\tb\x00120000 blob 22\tl\0"
    )
