"""A whole change: real CLI in its wall, real git, a scripted model, a task door that keeps it."""

from __future__ import annotations

import subprocess

import pytest

from libs.common.events.tasks import ChangesProposed
from tests.fakes.task_door import running_task_door
from tests.integration.runner_scripted_model import scripted_model
from tests.integration.runner_world import MODEL_KEY, World, merge_request
from tests.simulators.model.replies import Call

pytestmark = pytest.mark.real
SUMMARY = "Added a guard."


def submit(*files, **more):
    arguments = {"subject": "Guard the sum", "summary": SUMMARY, "files": list(files)}
    return Call("submit_change", arguments | more)


async def changed(tmp_path, *calls, made=None, **environment):
    """The result, the model, and how the runner ended, of a coding task with these calls."""
    made = made or merge_request(tmp_path)
    made = made.told(kind="coding", instruction="Guard the sum", task_id="coding-42-7-n9")
    async with (
        running_task_door(made.spec) as door,
        scripted_model(*calls, api_key=MODEL_KEY) as model,
    ):
        world = await World(tmp_path / "work", made, door).cloned()
        done = await world.run(model, **environment)
    assert done.code == 0, done.stderr
    [result] = door.results
    return result, model, done


def applied(made, patch, folder):
    """The files after the patch is applied to a clone at the pinned commit."""
    git = ["git", "-C", str(folder)]
    subprocess.run(["git", "clone", "-q", str(made.origin.path), str(folder)], check=True)
    subprocess.run([*git, "checkout", "-q", made.spec.head_sha], check=True)
    subprocess.run([*git, "apply", "--index", "-"], input=patch, check=True)
    return folder


async def test_a_change_is_handed_in_as_a_patch_of_the_named_files(tmp_path):
    made = merge_request(tmp_path)
    result, _, done = await changed(
        tmp_path,
        Call("view", {"path": "shop/prices.py"}),
        Call("edit", {"path": "shop/prices.py", "old_str": "result = 0", "new_str": "result = 1"}),
        Call("create", {"path": "shop/new.py", "file_text": "x = 1\n"}),
        Call("bash", {"command": "echo y >> shop/new.py; echo z > stray.txt", "description": "w"}),
        submit("shop/prices.py", "shop/new.py"),
        made=made,
    )

    assert isinstance(result, ChangesProposed), done.stderr
    assert result.files == ("shop/prices.py", "shop/new.py")
    assert result.left_out == ("stray.txt",)
    folder = applied(made, result.patch, tmp_path / "applied")
    assert (folder / "shop/new.py").read_text() == "x = 1\ny\n"
    assert "result = 1" in (folder / "shop/prices.py").read_text()
