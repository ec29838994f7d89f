"""A whole change: real CLI in its wall, real git, a scripted model, a task door that keeps it."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from libs.common.events.tasks import ChangesProposed, DiffRefs, Issue, NothingToDo, TaskFailed
from tests.fakes.task_door import running_task_door
from tests.integration import runner_probe
from tests.integration.runner_scripted_model import scripted_model
from tests.integration.runner_world import MODEL_KEY, World, ended, merge_request
from tests.integration.test_runner_steps import gone
from tests.simulators.model import running_model
from tests.simulators.model.replies import Call


def no_wall() -> str:
    """Why bubblewrap does not work here; empty when it does."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    tried = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    return subprocess.run(tried, capture_output=True, text=True, check=False).stderr


pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(no_wall()), reason=no_wall() or "works")]
CANARY = "canary-7c1d44e2-do-not-tell"


def submit(*files, **more):
    arguments = {"subject": "Guard the sum", "summary": "Added a guard.", "files": list(files)}
    return Call("submit_change", arguments | more)


def bash(command):
    return Call("bash", {"command": command, "description": "Look"})


def probe():
    """What runs the probe in the session's shell."""
    source = shlex.quote(Path(runner_probe.__file__).read_text())
    return bash(f"python3 -c {source} {MODEL_KEY[:10]} {MODEL_KEY[10:]}")


def coding_task(made, instruction="Guard the sum", **more):
    given = {"kind": "coding", "instruction": instruction, "task_id": "coding-42-7-n9"}
    return made.told(**(given | more))


async def ran(tmp_path, made, model, name, **environment):
    async with running_task_door(made.spec) as door:
        world = await World(tmp_path / "work", made, door).cloned()
        done = await world.run(model, name=name, **environment)
    assert done.code == 0, done.stderr
    [result] = door.results
    return result, done


async def scripted(tmp_path, *calls, made=None, **environment):
    """The result, the model and the runner's end, of a coding task with these calls."""
    made = coding_task(made or merge_request(tmp_path))
    async with scripted_model(*calls, api_key=MODEL_KEY) as model:
        result, done = await ran(tmp_path, made, model, "scripted", **environment)
    return result, model, done


async def simulated(tmp_path, made, name="sim-reviewer", **environment):
    async with running_model(api_key=MODEL_KEY) as model:
        return await ran(tmp_path, made, model, name, **environment)


def applied(made, patch, folder):
    """The files after the patch is applied to a clone at the pinned commit."""
    git = ["git", "-C", str(folder)]
    subprocess.run(["git", "clone", "-q", str(made.origin.path), str(folder)], check=True)
    subprocess.run([*git, "checkout", "-q", made.spec.head_sha], check=True)
    subprocess.run([*git, "apply", "--index", "-"], input=patch, check=True)
    return folder


async def test_a_change_is_handed_in_as_a_patch_of_the_named_files(tmp_path):
    made = merge_request(tmp_path)
    result, model, done = await scripted(
        tmp_path,
        Call("view", {"path": "shop/prices.py"}),
        Call("edit", {"path": "shop/prices.py", "old_str": "result = 0", "new_str": "result = 1"}),
        Call("create", {"path": "shop/new.py", "file_text": "x = 1\n"}),
        bash("echo y >> shop/new.py; echo z > stray.txt; mkdir shop/__pycache__; git status -s"),
        submit("shop/prices.py", "shop/new.py"),
        made=made,
    )

    assert isinstance(result, ChangesProposed), done.stderr
    assert result.files == ("shop/prices.py", "shop/new.py")
    assert result.left_out == ("stray.txt",)
    assert result.subject == "Guard the sum"
    assert result.usage.input_tokens > 0
    assert set(result.stages) == {"start", "session"}
    folder = applied(made, result.patch, tmp_path / "applied")
    assert (folder / "shop/new.py").read_text() == "x = 1\ny\n"
    assert "result = 1" in (folder / "shop/prices.py").read_text()
    assert not (tmp_path / "work" / "home").exists()
    assert set(model.offered[0]) == {
        *("view", "grep", "glob", "edit", "create", "bash", "read_bash", "stop_bash", "list_bash"),
        *("git_diff", "git_show", "submit_change"),
    }


@pytest.mark.parametrize(
    ("instruction", "files", "said"),
    [
        ("please add a test", ("shop/test_prices.py",), "callable(module.total)"),
        ("Rename total to sum_all", ("shop/prices.py",), "+def sum_all("),
        ("Say hello to the team", ("NOTES.md",), "+- Say hello to the team"),
        ("Rename nowhere to be", None, "no `nowhere`"),
    ],
)
async def test_the_simulated_engineer_makes_a_small_change(tmp_path, instruction, files, said):
    made = coding_task(merge_request(tmp_path), instruction)

    result, done = await simulated(tmp_path, made)

    if files is None:
        assert isinstance(result, NothingToDo), done.stderr
        assert said in result.summary
    else:
        assert isinstance(result, ChangesProposed), done.stderr
        assert result.files == files
        assert said in result.patch.decode()
        applied(made, result.patch, tmp_path / "applied")


async def test_a_jira_issue_has_no_diff_and_gets_a_patch_all_the_same(tmp_path):
    made = merge_request(tmp_path)
    sha = made.spec.diff_refs.base_sha
    refs = DiffRefs(base_sha=sha, start_sha=sha, head_sha=sha)
    made = coding_task(made, "Add a test", diff_refs=refs, iid=0, issue=Issue(key="SHOP-7"))

    result, done = await simulated(tmp_path, made)

    assert isinstance(result, ChangesProposed), done.stderr
    assert result.files == ("shop/test_prices.py",)


async def coded_badly(tmp_path, name):
    return await simulated(tmp_path, coding_task(merge_request(tmp_path)), name)


async def test_a_model_that_changes_too_much_hands_in_what_it_names_only(tmp_path):
    result, _ = await coded_badly(tmp_path, "sim-coding-stray")

    assert isinstance(result, ChangesProposed)
    assert (result.files, result.left_out) == (("one.txt",), ("three.txt", "two.txt"))
    assert b"two" not in result.patch


async def test_a_model_that_finds_nothing_to_do_says_so(tmp_path):
    result, _ = await coded_badly(tmp_path, "sim-coding-nothing")

    assert isinstance(result, NothingToDo)
    assert result.summary == "All of it is there already."


@pytest.mark.parametrize("name", ["sim-coding-unchanged", "sim-coding-silent"])
async def test_a_model_that_hands_in_nothing_is_no_result(tmp_path, name):
    result, _ = await coded_badly(tmp_path, name)

    assert isinstance(result, TaskFailed)
    assert result.reason == "no_result"


async def test_hostile_paths_are_left_out_and_the_good_file_is_kept_sr_34(tmp_path):
    result, _ = await coded_badly(tmp_path, "sim-coding-hostile")

    assert isinstance(result, ChangesProposed)
    assert result.files == ("good.txt",)
    assert result.patch.count(b"diff --git") == 1


async def test_a_patch_of_more_than_10_mb_is_refused(tmp_path):
    result, _ = await coded_badly(tmp_path, "sim-coding-huge")

    assert isinstance(result, NothingToDo | TaskFailed)


async def test_a_ci_file_is_for_the_publisher_to_judge(tmp_path):
    """SR-32 is the publisher's; the runner hands in what was made."""
    result, _ = await coded_badly(tmp_path, "sim-coding-ci")

    assert isinstance(result, ChangesProposed)
    assert result.files == (".gitlab-ci.yml",)


async def test_a_session_that_looks_for_secrets_finds_none_sr_18(tmp_path):
    """SR-18, SR-14: neither in environments, nor in processes, nor in other folders."""
    (tmp_path / "outside").write_text(CANARY)
    made = coding_task(merge_request(tmp_path))

    result, done = await simulated(
        tmp_path, made, "sim-coding-canary", SOME_SECRET=CANARY, GITHUB_TOKEN=CANARY
    )

    assert isinstance(result, ChangesProposed), done.stderr
    told = msgspec.json.encode(result).decode() + result.patch.decode() + done.stderr
    assert "PATH=/usr/local/sbin" in result.patch.decode()
    for secret in (CANARY, MODEL_KEY, "task-token", "GCA_"):
        assert secret not in told


LOOK = """
cat ../../outside ../own/.git/config && echo FOUND-FILE
ls -A / /tmp ..
python3 - <<'P'
import os
for pid in filter(str.isdigit, os.listdir('/proc')):
    for name in ('mem', 'environ', 'maps'):
        try:
            open(f'/proc/{pid}/{name}', 'rb').read(1)
        except OSError as error:
            if error.errno == 13: print('DENIED', pid, name)
print('DONE')
P
touch .git/planted || echo NO-GIT
touch /etc/planted /usr/planted || echo NO-SYSTEM
(: >> /proc/sys/kernel/core_pattern) || echo NO-PROC
find /proc -path '/proc/[0-9]*' -prune -o -type f -writable -print 2>/dev/null |
    while read f; do (: >> $f) 2>/dev/null && echo WRITABLE $f; done
ls $HOME/.copilot | wc -l
touch $HOME/.cache/copilot/planted || echo NO-CACHE
(setsid sleep 987 >/dev/null 2>&1 &)
"""


async def test_the_wall_lets_a_shell_see_and_change_nothing_else_sr_18(tmp_path):
    """SR-18: the CLI's memory and environment, the system, git's folder, other files."""
    (tmp_path / "outside").write_text(CANARY)
    result, _, done = await scripted(tmp_path, bash(LOOK), SOME_SECRET=CANARY)

    assert isinstance(result, NothingToDo), done.stderr
    said = result.summary
    assert "FOUND-FILE" not in said
    assert "WRITABLE" not in said
    assert CANARY not in said
    assert re.search(r"^(bash -> )?\.\.:\ncontext\nhome\nrepo\n", said, re.MULTILINE), said
    assert {"DENIED 1 mem", "DENIED 1 environ", "DENIED 2 mem", "DENIED 2 environ"} <= set(
        said.split("\n")
    )
    for word in ("DONE", "NO-GIT", "NO-SYSTEM", "NO-PROC", "NO-CACHE"):
        assert re.search(rf"^{word}$", said, re.MULTILINE), said
    assert not (tmp_path / "work/repo/.git/planted").exists()
    await gone(sleepers())


async def test_sr_18_a_shell_gets_at_the_key_by_no_process_file_or_debugger(tmp_path):
    """SR-18: a signal of the same user must not have the CLI listen for a debugger."""
    result, _, done = await scripted(tmp_path, probe())

    assert isinstance(result, NothingToDo), done.stderr
    said = result.summary.splitlines()
    assert "DONE" in said[-2:], result.summary
    assert "CLI " in result.summary, "the probe saw no CLI"
    assert [] == [line for line in said if "FOUND" in line]


def sleepers():
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if command.read_bytes() == b"sleep\x00987\x00":
                found.append(int(command.parent.name))
        except OSError:
            continue
    return found


async def test_writing_by_tools_stays_in_the_clone_sr_20(tmp_path):
    result, _, done = await scripted(
        tmp_path,
        bash("ln -s /tmp out; mkdir sub"),
        Call("create", {"path": "/tmp/planted.txt", "file_text": "x"}),
        Call("create", {"path": "out/planted.txt", "file_text": "x"}),
        Call("edit", {"path": ".git/config", "old_str": "[core]", "new_str": "[core]\n"}),
        Call("view", {"path": "/proc/2/environ"}),
        Call("web_fetch", {"url": "http://127.0.0.1:9/"}),
    )

    assert isinstance(result, NothingToDo), done.stderr
    assert result.summary.count("rejected") == 4
    assert "'web_fetch' does not exist" in result.summary


async def test_without_a_wall_the_task_ends_with_words_that_help(tmp_path):
    """SR-18: and nobody is asked."""
    made = coding_task(merge_request(tmp_path))
    empty = tmp_path / "bin"
    empty.mkdir()
    (empty / "git").symlink_to(shutil.which("git") or "")
    async with running_model() as model:
        result, _ = await ran(tmp_path, made, model, "sim-reviewer", PATH=str(empty))

        assert isinstance(result, TaskFailed)
        assert result.reason == "launch"
        assert "bubblewrap" in result.detail
        assert "ALLOW_UNSANDBOXED_CODING" in result.detail
        assert not model.requests


async def test_the_operator_may_let_it_run_without_a_wall(tmp_path):
    made = coding_task(merge_request(tmp_path), "Add a test")
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "bwrap").write_text("#!/bin/sh\nexit 1\n")
    (broken / "bwrap").chmod(0o755)

    result, done = await simulated(
        tmp_path, made, ALLOW_UNSANDBOXED_CODING="true", PATH=f"{broken}:/usr/bin:/bin"
    )

    assert isinstance(result, ChangesProposed), done.stderr
    assert done.said("session runs without a wall")


async def test_a_killed_runner_leaves_no_session_behind(tmp_path):
    made = coding_task(merge_request(tmp_path))
    async with (
        running_task_door(made.spec) as door,
        scripted_model(bash("sleep 987"), api_key=MODEL_KEY) as model,
    ):
        world = await World(tmp_path / "work", made, door).cloned()
        settings = {
            "COPILOT_PROVIDER_BASE_URL": model.url,
            "COPILOT_PROVIDER_API_KEY": MODEL_KEY,
            "COPILOT_MODEL": "scripted",
        }
        process = await world.start("run", **settings)
        await started(model)
        process.kill()
        await ended(process)
        await gone(sleepers())


async def started(model):
    """Wait until its command runs."""
    async with asyncio.timeout(30):
        while not (model.offered and sleepers()):  # noqa: ASYNC110  only the kernel knows
            await asyncio.sleep(0.05)
