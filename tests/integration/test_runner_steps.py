"""The two steps as a launcher starts them: exit codes, failures, signals, what is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import pytest

from libs.common.events.tasks import DiffRefs, Limits, ReviewDone, TaskFailed
from libs.common.launching.contract import ExitCode
from tests.fakes.task_door import running_task_door
from tests.integration.git_door_repository import submodule
from tests.integration.git_door_server import Mood, serving
from tests.integration.runner_world import (
    AFTER,
    BEFORE,
    GIT_TOKEN,
    World,
    asked,
    ended,
    merge_request,
    provider,
)
from tests.simulators.model import running_model

pytestmark = pytest.mark.real


async def clone(world: World, **more: str):
    return await ended(await world.start("clone", **({"GITLAB_READ_TOKEN": GIT_TOKEN} | more)))


async def test_clone_then_run_is_a_whole_task(tmp_path):
    made = merge_request(tmp_path)
    with serving(tmp_path / "origin", Mood(token=GIT_TOKEN)) as server:
        made = made.told(clone_url=f"{server.url}/shop.git")
        async with running_task_door(made.spec) as door, running_model() as model:
            world = World(tmp_path / "work", made, door)
            world.work.mkdir()

            cloned = await clone(world)
            run = await world.run(model)

    assert (cloned.code, run.code) == (ExitCode.DONE, ExitCode.DONE), cloned.stderr + run.stderr
    [result] = door.results
    assert isinstance(result, ReviewDone)
    assert set(result.stages) == {"clone", "start", "session"}
    assert result.stages["clone"] > 0
    assert len(result.findings) == 2


async def test_the_git_token_is_nowhere_after_a_clone_and_its_failures(tmp_path):
    """SR-37, SR-39."""
    made = merge_request(tmp_path)
    mood = Mood(token=GIT_TOKEN)
    with serving(tmp_path / "origin", mood) as server:
        made = made.told(clone_url=f"{server.url}/shop.git")
        async with running_task_door(made.spec) as door:
            world = World(tmp_path / "work", made, door)
            world.work.mkdir()
            logs = (await clone(world)).stderr
            mood.status = 500
            logs += (await clone(world, GITLAB_READ_TOKEN=GIT_TOKEN)).stderr

    left = b"".join(path.read_bytes() for path in world.work.rglob("*") if path.is_file())
    assert mood.asked_with_credentials
    for where in (logs.encode(), left, *door.bodies):
        assert GIT_TOKEN.encode() not in where


@pytest.mark.parametrize(
    ("mood", "reason", "said"),
    [
        (Mood(token="another"), "auth", "GITLAB_READ_TOKEN"),
        (Mood(status=403), "auth", "GITLAB_READ_TOKEN"),
        (Mood(status=404), "clone", "no such repository"),
        (Mood(html=True), "clone", ""),
    ],
    ids=["wrong token", "forbidden", "gone", "html"],
)
async def test_a_clone_that_fails_is_the_task_s_end(tmp_path, mood, reason, said):
    made = merge_request(tmp_path)
    with serving(tmp_path / "origin", mood) as server:
        made = made.told(clone_url=f"{server.url}/shop.git")
        async with running_task_door(made.spec) as door:
            world = World(tmp_path / "work", made, door)
            world.work.mkdir()

            done = await clone(world)

    assert done.code == ExitCode.TASK_FAILED, done.stderr
    [result] = door.results
    assert isinstance(result, TaskFailed)
    assert result.reason == reason
    assert said in result.detail
    assert result.stages["clone"] > 0


async def test_a_head_that_is_gone_is_the_task_s_end(tmp_path):
    made = merge_request(tmp_path)
    refs = msgspec.structs.replace(made.spec.diff_refs, head_sha="d" * 40)
    with serving(tmp_path / "origin") as server:
        made = made.told(clone_url=f"{server.url}/shop.git", diff_refs=refs)
        async with running_task_door(made.spec) as door:
            world = World(tmp_path / "work", made, door)
            world.work.mkdir()

            done = await clone(world)

    assert done.code == ExitCode.TASK_FAILED, done.stderr
    assert isinstance(door.results[0], TaskFailed)
    assert door.results[0].reason == "clone"


async def test_a_server_that_hangs_ends_the_clone_in_the_task_s_time(tmp_path):
    made = merge_request(tmp_path)
    with serving(tmp_path / "origin", Mood(hang=True)) as server:
        made = made.told(clone_url=f"{server.url}/shop.git", limits=Limits(timeout=6))
        async with running_task_door(made.spec) as door:
            world = World(tmp_path / "work", made, door)
            world.work.mkdir()

            done = await clone(world)

    assert done.code == ExitCode.TASK_FAILED, done.stderr
    assert isinstance(door.results[0], TaskFailed)
    assert door.results[0].reason == "timeout"


async def test_run_without_a_clone_is_a_failure_that_is_handed_in(tmp_path):
    made = merge_request(tmp_path)
    async with running_task_door(made.spec) as door, running_model() as model:
        (tmp_path / "work").mkdir()

        done = await World(tmp_path / "work", made, door).run(model)

    assert done.code == ExitCode.DONE
    assert isinstance(door.results[0], TaskFailed)


async def test_a_task_that_someone_else_ended_is_its_own_exit_code(tmp_path):
    """SR-22."""
    made = merge_request(tmp_path)
    async with running_task_door(made.spec) as door, running_model() as model:
        world = await World(tmp_path / "work", made, door).cloned()
        door.ended = True

        done = await world.run(model)

    assert done.code == ExitCode.RESULT_REFUSED
    assert door.results == []


async def test_no_task_door_is_its_own_exit_code(tmp_path):
    made = merge_request(tmp_path)
    made = made.told(limits=Limits(timeout=4))
    async with running_task_door(made.spec) as door, running_model() as model:
        world = World(tmp_path / "work", made, door)

        away = await world.run(model, GCA_TASK_URL="http://127.0.0.1:9/tasks/t")
        unknown = await world.run(model, GCA_TASK_TOKEN="wrong")

    assert (away.code, unknown.code) == (ExitCode.NO_TASK_DOOR, ExitCode.NO_TASK_DOOR)


async def test_a_door_with_moods_gets_the_result_all_the_same(tmp_path):
    made = merge_request(tmp_path)
    async with running_task_door(made.spec) as door, running_model() as model:
        world = await World(tmp_path / "work", made, door).cloned()
        door.moods = [503, 502]

        done = await world.run(model)

    assert done.code == ExitCode.DONE
    assert len(door.results) == 1


@pytest.mark.parametrize("step", ["clone", "run"])
async def test_wrong_settings_are_all_listed_and_nothing_starts(tmp_path, step):
    made = merge_request(tmp_path)
    async with running_task_door(made.spec) as door:
        done = await ended(await World(tmp_path / "work", made, door).start(step))

    assert done.code == ExitCode.WRONG_SETTINGS
    assert "settings to mend" in done.stderr
    assert door.asked == []


async def test_a_missing_cli_is_said_before_anything_is_asked(tmp_path):
    made = merge_request(tmp_path)
    async with running_task_door(made.spec) as door, running_model() as model:
        world = World(tmp_path / "work", made, door)

        done = await world.run(model, COPILOT_CLI_PATH="", XDG_CACHE_HOME=str(tmp_path))

    assert done.code == ExitCode.WRONG_SETTINGS
    assert "make setup" in done.stderr


def descendants(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [pid for child in map(int, children) for pid in (child, *descendants(child))]


async def gone(pids: list[int]) -> None:
    async with asyncio.timeout(5):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110  only the kernel knows
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_stopped_runner_leaves_no_process_behind(tmp_path, number):
    made = merge_request(tmp_path)
    async with running_task_door(made.spec) as door, running_model() as model:
        world = await World(tmp_path / "work", made, door).cloned()
        process = await world.start("run", **provider(model, "sim-slow"))
        await asked(model)
        children = descendants(process.pid)

        os.kill(process.pid, number)
        async with asyncio.timeout(5):
            done = await ended(process)
        await gone(children)

    assert children
    assert done.code == (ExitCode.STOPPED if number == signal.SIGTERM else -signal.SIGKILL)
    assert door.results == []


ODD = {
    "with space.py": BEFORE,
    'quo"te.py': BEFORE,
    "größe/数.py": BEFORE,
    "tab\there.py": BEFORE,
    ":(exclude)shop.py": BEFORE,
    "-rf.py": BEFORE,
}


async def test_odd_names_renames_binaries_and_submodules_are_reviewed_or_named(tmp_path):
    made = merge_request(
        tmp_path,
        base={"old name.py": BEFORE, "logo.png": b"\x89PNG\0\0\1", **ODD},
        head={
            **dict.fromkeys(ODD, AFTER),
            "old name.py": None,
            "new näme.py": AFTER,
            "logo.png": b"\x89PNG\0\0\2",
            "lib": submodule(),
            "uv.lock": b"a lock\n",
            "empty.py": b"",
        },
    )
    async with running_task_door(made.spec) as door, running_model() as model:
        world = await World(tmp_path / "work", made, door).cloned()

        done = await world.run(model)

    assert done.code == ExitCode.DONE, done.stderr
    [result] = door.results
    assert isinstance(result, ReviewDone), result
    assert set(result.files_reviewed) == {*ODD, "new näme.py"}
    assert {one.path: one.why for one in result.skipped} == {
        "logo.png": "a binary file",
        "lib": "a submodule; its content is in another repository",
        "uv.lock": "a lock file written by a package manager",
        "empty.py": "an empty file",
    }
    assert {finding.file for finding in result.findings} == set(result.files_reviewed)
    assert all(finding.position for finding in result.findings)
    renamed = next(f for f in result.findings if f.file == "new näme.py")
    assert renamed.position is not None
    assert renamed.position.old_path == "old name.py"


async def test_a_diff_of_three_thousand_files_is_reviewed_as_far_as_it_goes(tmp_path):
    made = merge_request(tmp_path, head={f"src/f{n:04}.py": b"x = 1\n" for n in range(3000)})
    async with running_task_door(made.spec) as door, running_model() as model:
        world = await World(tmp_path / "work", made, door).cloned()

        done = await world.run(model)

    assert done.code == ExitCode.DONE, done.stderr
    [result] = door.results
    assert isinstance(result, ReviewDone), result
    assert len(result.files_reviewed) == 300
    assert len(result.skipped) == 2700


async def test_a_change_of_nothing_to_review_needs_no_session(tmp_path):
    made = merge_request(tmp_path, head={"logo.png": b"\0\1"})
    async with running_task_door(made.spec) as door, running_model() as model:
        world = await World(tmp_path / "work", made, door).cloned()

        done = await world.run(model)

    assert done.code == ExitCode.DONE
    [result] = door.results
    assert isinstance(result, ReviewDone)
    assert result.summary == "Nothing to review. Every changed file was skipped."
    assert not model.requests


async def test_an_empty_diff_is_said_to_be_one(tmp_path):
    made = merge_request(tmp_path)
    sha = made.spec.diff_refs.base_sha
    made = made.told(diff_refs=DiffRefs(base_sha=sha, start_sha=sha, head_sha=sha))
    async with running_task_door(made.spec) as door, running_model() as model:
        world = await World(tmp_path / "work", made, door).cloned()

        await world.run(model)

    assert isinstance(door.results[0], ReviewDone)
    assert door.results[0].summary == "Nothing to review. There are no changes."
