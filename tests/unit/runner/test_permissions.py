"""SR-20: a session reads inside its folders and does nothing else."""

from __future__ import annotations

import pytest

from services.runner.permissions import Walls, decide


@pytest.fixture
def walls(tmp_path):
    clone = tmp_path / "task" / "repo"
    (clone / "src").mkdir(parents=True)
    (clone / "src" / "a.py").write_text("a")
    (clone / ".git").mkdir()
    (clone / ".git" / "config").write_text("")
    (clone / ".github").mkdir()
    context = tmp_path / "task" / "context"
    context.mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret").write_text("s")
    (clone / "out").symlink_to(tmp_path / "other")
    (clone / "file").symlink_to("/etc/passwd")
    (clone / "loop").symlink_to(clone / "loop")
    return Walls.around(clone, context)


def reads(path: object, walls: Walls) -> bool:
    return decide("read", path=str(path), tool=None, walls=walls).allowed


@pytest.mark.parametrize("path", ["src/a.py", ".", "src/../src/a.py", "missing.py", ".github"])
def test_the_clone_may_be_read(path, walls):
    assert reads(walls.folders[0] / path, walls)


def test_the_session_s_folder_may_be_read(walls):
    assert reads(walls.folders[1] / "merge-request.md", walls)


def test_a_relative_path_is_one_of_the_clone(walls):
    assert reads("src/a.py", walls)


@pytest.mark.parametrize(
    "path",
    [
        "/proc/self/environ",
        "/proc/1/environ",
        "/etc/passwd",
        "/",
        "/root",
        "..",
        "../../other/secret",
        "src/../../home",
        "out/secret",
        "out",
        "file",
        "loop",
        ".git",
        ".git/config",
        ".GIT/config",
        "",
        "a\0b",
        "~/.ssh/id_rsa/../../../../../../etc/passwd",
    ],
)
def test_nothing_else_may_be_read(path, walls):
    """SR-20, SR-18: not /proc, the home, other clones, nor links that lead there."""
    wanted = path if path.startswith("/") or not path else walls.folders[0].as_posix() + "/" + path

    assert not reads(wanted, walls)


def test_a_folder_whose_name_begins_like_the_clone_is_outside(walls):
    assert not reads(str(walls.folders[0]) + "-other/a", walls)


@pytest.mark.parametrize(
    "kind", ["shell", "write", "url", "mcp", "memory", "hook", "extension-management", "", "READ"]
)
def test_every_other_kind_is_denied(kind, walls):
    """SR-20: also kinds that a later CLI may bring."""
    inside = str(walls.folders[0] / "src" / "a.py")

    assert not decide(kind, path=inside, tool="view", walls=walls).allowed


def test_only_our_own_tools_are_known(walls):
    verdicts = {
        tool: decide("custom-tool", path=None, tool=tool, walls=walls).allowed
        for tool in ("git_diff", "git_show", "submit_review", "deploy", None)
    }

    assert verdicts == {
        "git_diff": True,
        "git_show": True,
        "submit_review": True,
        "deploy": False,
        None: False,
    }


def test_a_denial_tells_the_model_why(walls):
    verdict = decide("read", path="/etc/passwd", tool=None, walls=walls)

    assert verdict.why == "outside of the repository"
