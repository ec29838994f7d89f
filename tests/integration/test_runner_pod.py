"""A coding session where the Job is a pod of its own: no bubblewrap, and still no key (SR-18).

Needs root, as a pod's image has: the CLI belongs to root, the session to somebody else.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from asyncio.subprocess import PIPE
from pathlib import Path

import msgspec
import pytest

from libs.common.events.tasks import ChangesProposed, NothingToDo, TaskFailed
from libs.common.launching.contract import POD_WALL, WALL
from tests.fakes.task_door import running_task_door
from tests.integration.runner_scripted_model import scripted_model
from tests.integration.runner_world import CLI, MODEL_KEY, ROOT, World, ended, merge_request
from tests.integration.test_runner_coding import bash, coding_task, probe, submit
from tests.simulators.model.replies import Call

USER = 65534
# The environment's own Python may be one below /root: then it is the system's of that version.
PYTHON = f"/usr/bin/python3.{sys.version_info.minor}"
PACKAGES = {"PYTHONPATH": sysconfig.get_path("purelib"), "PATH": "/usr/bin:/bin"}
DROP = [
    *(
        shutil.which("setpriv") or "setpriv",
        f"--reuid={USER}",
        f"--regid={USER}",
        "--clear-groups",
        "--no-new-privs",
    ),
    *("--inh-caps=-all", "--bounding-set=-all"),
]


def why_not() -> str:
    if os.geteuid() != 0:
        return "needs root, to keep the CLI from its user"
    if shutil.which("setpriv") is None:
        return "setpriv is not installed (package util-linux)"
    tried = [*DROP, PYTHON, "-c", "import services.runner.session"]
    done = subprocess.run(tried, cwd=ROOT, env=PACKAGES, capture_output=True, check=False)
    return f"user {USER} cannot use {PYTHON} and {ROOT}" if done.returncode else ""


pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(why_not()), reason=why_not() or "works")]


@pytest.fixture(scope="module")
def opened():
    """A folder that the session's user may enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="gca-pod-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def image(opened):
    """The CLI and what it unpacked, as in the runner's image: for all, but only to be started."""
    cli = opened / "copilot"
    shutil.copyfile(CLI, cli)
    cli.chmod(0o711)
    unpacked = Path.home() / ".cache/gitlab-copilot-agent/copilot"
    shutil.copytree(unpacked, opened / "cache/gitlab-copilot-agent/copilot", symlinks=True)
    return cli


async def session(folder, image, *calls, made=None, **environment):
    """The result of a coding session of somebody without rights, with these calls."""
    made = coding_task(made or merge_request(folder))
    async with (
        running_task_door(made.spec) as door,
        scripted_model(*calls, api_key=MODEL_KEY) as model,
    ):
        world = await World(folder / "work", made, door).cloned()
        for path in (world.work, *world.work.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)
        settings = {
            "COPILOT_PROVIDER_BASE_URL": model.url,
            "COPILOT_PROVIDER_API_KEY": MODEL_KEY,
            "COPILOT_MODEL": "scripted",
            "COPILOT_CLI_PATH": str(image),
            "XDG_CACHE_HOME": str(image.parent / "cache"),
            "HOME": str(world.work / "home"),
        }
        process = await asyncio.create_subprocess_exec(
            *(*DROP, PYTHON, "-m", "services.runner", "run"),
            cwd=ROOT,
            env=world.environment(**(PACKAGES | settings | environment)),
            stdout=PIPE,
            stderr=PIPE,
        )
        done = await ended(process)
    assert done.code == 0, done.stderr
    [result] = door.results
    return result, model, done


@pytest.fixture
def place(opened):
    folder = Path(tempfile.mkdtemp(dir=opened))
    folder.chmod(0o755)
    return folder


async def test_sr_18_a_pod_s_shell_gets_at_the_key_by_no_process_file_or_debugger(place, image):
    result, _, done = await session(place, image, probe(), **{WALL: POD_WALL})

    assert isinstance(result, NothingToDo), done.stderr
    said = result.summary.splitlines()
    assert "DONE" in said, result.summary
    assert "CLI " in result.summary, "the probe saw no CLI"
    assert [] == [line for line in said if "FOUND" in line]


async def test_without_that_the_same_probe_finds_the_key(place, image):
    """The control: what is not found above is there to be found."""
    programs = place / "bin"
    programs.mkdir()
    for name in ("bash", "sh", "git", "python3", "id"):
        (programs / name).symlink_to(shutil.which(name, path=PACKAGES["PATH"]) or "")
    readable = place / "copilot"
    shutil.copyfile(CLI, readable)
    readable.chmod(0o755)

    result, _, done = await session(
        place,
        readable,
        probe(),
        PATH=str(programs),
        ALLOW_UNSANDBOXED_CODING="true",
        XDG_CACHE_HOME=str(image.parent / "cache"),
    )

    assert isinstance(result, NothingToDo), done.stderr
    assert "FOUND memory" in result.summary


async def test_a_change_is_made_where_nothing_of_the_cli_can_be_read(place, image):
    """The shell, the file tools and their programs need neither the CLI's file nor /proc/self."""
    result, _, done = await session(
        place,
        image,
        Call("grep", {"pattern": "result", "paths": "shop"}),
        Call("glob", {"pattern": "**/*.py"}),
        Call("edit", {"path": "shop/prices.py", "old_str": "result = 0", "new_str": "result = 1"}),
        bash("echo 'x = 1' > shop/new.py; git status -s; nproc; sleep 0.1 & wait"),
        submit("shop/prices.py", "shop/new.py"),
        **{WALL: POD_WALL},
    )

    assert isinstance(result, ChangesProposed), done.stderr
    assert result.files == ("shop/prices.py", "shop/new.py")
    assert not (place / "work/home").exists()


async def test_sr_18_a_cli_that_its_user_may_read_starts_no_session(place):
    readable = place / "copilot"
    shutil.copyfile(CLI, readable)
    readable.chmod(0o755)

    result, model, _ = await session(place, readable, **{WALL: POD_WALL})

    assert isinstance(result, TaskFailed)
    assert result.reason == "launch"
    assert "mode 0711" in result.detail
    assert not model.offered


async def test_no_secret_is_in_the_result_when_a_pod_s_session_tells_all_it_sees(place, image):
    result, _, done = await session(
        place,
        image,
        bash("env; cat /proc/*/environ /proc/*/cmdline 2>&1; ls -la .. $HOME"),
        **{WALL: POD_WALL},
    )

    assert isinstance(result, NothingToDo), done.stderr
    assert "PATH=" in result.summary
    told = msgspec.json.encode(result).decode() + done.stderr
    assert MODEL_KEY not in told
    assert "task-token" not in told
