"""The local launcher with real processes: contract, deadlines, cancel, kills, secrets."""

# Processes outside tell no event loop that they are done; waiting is by looking.
# ruff: noqa: ASYNC109, ASYNC110, ASYNC220, ASYNC240

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from libs.common.errors import Permanent, Temporary
from libs.common.launching import exits, processes, state
from libs.common.launching.local import KEPT, ROOT, SHELF, LocalLauncher
from libs.common.launching.protocol import Job, Launch
from libs.common.launching.state import Exit, JobFile, Running, Step
from tests.contract.launcher import LauncherContract, only_job, order

pytestmark = pytest.mark.real

UNTIL_TOLD = (
    'echo x >> "$STARTS"; while [ ! -s "$ORDERS" ]; do sleep 0.05; done; exit $(cat "$ORDERS")'
)
CANARY = "glpat-canary-0123456789"


def shell(name: str, script: str, **environment: str) -> Step:
    path = {"PATH": os.environ["PATH"]}
    return Step(name=name, argv=("/bin/sh", "-c", script), environment={**path, **environment})


async def eventually(condition: Callable[[], object], what: str, seconds: float = 15) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


async def exited(launcher: LocalLauncher) -> Job:
    try:
        async with asyncio.timeout(20):
            while (job := await only_job(launcher)).phase == "running":
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail("the Job did not end")
    return job


def number_in(path: Path) -> int:
    return int(path.read_text()) if path.exists() and path.read_text().endswith("\n") else 0


class LocalRig:
    def __init__(self, folder: Path) -> None:
        self._orders, self._starts = folder / "orders", folder / "starts"
        self.launcher = LocalLauncher(folder / "jobs", steps=self._steps)
        self.other = LocalLauncher(folder / "jobs", steps=self._steps)

    def _steps(self, _launch: Launch) -> list[Step]:
        self._orders.unlink(missing_ok=True)
        where = {"ORDERS": str(self._orders), "STARTS": str(self._starts)}
        return [shell("clone", "exit 0"), shell("run", UNTIL_TOLD, **where)]

    async def finish(self, _name: str, exit_code: int) -> None:
        self._orders.write_text(str(exit_code))
        await exited(self.launcher)

    async def started(self, at_least: int) -> int:
        await eventually(lambda: self._count() >= at_least, f"{at_least} Jobs began")
        return self._count()

    def _count(self) -> int:
        return len(self._starts.read_text().splitlines()) if self._starts.exists() else 0


class TestLocalLauncher(LauncherContract):
    @pytest.fixture
    async def rig(self, tmp_path: Path) -> AsyncIterator[LocalRig]:
        rig = LocalRig(tmp_path)
        yield rig
        for job in await rig.launcher.jobs():
            await rig.launcher.cancel(job.job_name)


class Machine:
    """A launcher whose steps a test chooses; ends all that it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "jobs"
        self.steps: list[Step] = []
        self.launcher = self.another()
        self.job = self.folder / order().job_name

    def another(self) -> LocalLauncher:
        return LocalLauncher(self.folder, steps=lambda _: self.steps, grace=0.5)

    async def run(self, *steps: Step, timeout: int = 60) -> Job:
        self.steps = list(steps)
        await self.launcher.launch(order(timeout=timeout))
        return await exited(self.launcher)

    async def start(self, *steps: Step, timeout: int = 60) -> None:
        self.steps = list(steps)
        await self.launcher.launch(order(timeout=timeout))

    def supervisor(self) -> Running:
        found = state.read(self.job / state.SUPERVISOR, Running)
        assert found
        return found

    def exit(self) -> Exit:
        found = state.read(self.job / state.EXIT, Exit)
        assert found
        return found


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    for job in await machine.launcher.jobs():
        await machine.launcher.cancel(job.job_name)


async def test_steps_run_one_after_the_other_and_say_how_long(machine: Machine):
    job = await machine.run(shell("clone", "echo cloned"), shell("run", "echo ran; echo oops >&2"))
    assert (job.exit_code, job.reason) == (0, "run finished")
    assert (machine.job / "clone.log").read_text() == "cloned\n"
    assert (machine.job / "run.log").read_text() == "ran\noops\n"
    assert sorted(machine.exit().seconds) == ["clone", "run"]


async def test_a_failed_step_ends_the_job_before_the_next(machine: Machine):
    job = await machine.run(shell("clone", "exit 13"), shell("run", "echo never"))
    assert (job.exit_code, job.reason) == (13, "clone failed and said so at the task door")
    assert not (machine.job / "run.log").exists()


async def test_a_step_that_cannot_start_is_told_in_words(machine: Machine):
    step = Step(name="clone", argv=("/nowhere/python",), environment={})
    assert (await machine.run(step)).reason == "clone ended with exit code 127"
    assert "cannot start /nowhere/python" in (machine.job / "clone.log").read_text()


async def test_a_step_killed_by_a_signal_is_told_in_words(machine: Machine):
    job = await machine.run(shell("run", "kill -9 $$"))
    assert (job.exit_code, job.reason) == (137, "run was killed by signal 9")


async def test_steps_see_only_their_own_environment_sr_37(machine: Machine, monkeypatch):
    monkeypatch.setenv("GITLAB_TOKEN", CANARY)
    await machine.run(shell("clone", "env", READ_TOKEN="r"), shell("run", "env", MODEL_KEY="m"))
    clone, run = ((machine.job / f"{name}.log").read_text() for name in ("clone", "run"))
    assert "READ_TOKEN=r" in clone
    assert "MODEL_KEY=m" in run
    assert ("MODEL_KEY" in clone, "READ_TOKEN" in run) == (False, False)
    assert CANARY not in clone + run


async def test_no_secret_is_on_disk_in_argv_or_in_the_supervisors_environment_sr_37(
    machine: Machine, monkeypatch
):
    monkeypatch.setenv("GITLAB_TOKEN", CANARY)
    await machine.start(shell("run", "exec sleep 60", SECRET=CANARY))
    pid = machine.supervisor().pid
    files = [path.read_text() for path in machine.folder.rglob("*") if path.is_file()]
    assert CANARY not in "".join(files)
    if sys.platform.startswith("linux"):
        for name in ("environ", "cmdline"):
            assert CANARY.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()


async def test_deadline_over_both_steps_ends_the_whole_group(machine: Machine):
    script = 'trap "" TERM; sleep 1000 & echo $! > "$FILE"; while :; do sleep 0.1; done'
    child = machine.folder.parent / "child"
    step = shell("run", script, FILE=str(child))
    job = await machine.run(shell("clone", "sleep 0.5"), step, timeout=5)
    assert job.exit_code == exits.DEADLINE
    assert job.reason == "run was ended at the deadline of 5 seconds"
    assert processes.find(number_in(child)) is None


async def test_what_a_step_leaves_behind_is_killed_even_outside_its_group(machine: Machine):
    daemon = machine.folder.parent / "daemon"
    code = "import os, sys, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(99)"
    leaves = f"{sys.executable} -S -c '{code}' > {daemon} & while [ ! -s {daemon} ]; do :; done"
    await machine.run(shell("run", leaves))
    if sys.platform.startswith("linux"):
        assert processes.find(number_in(daemon)) is None


async def test_logs_are_bounded_and_keep_the_newest_lines(machine: Machine):
    job = machine.folder
    job.mkdir()
    count = "i=0; while [ $i -lt 4000 ]; do echo line-$i; i=$((i+1)); done"
    script = f"{count}; sleep 0.5; echo last; sleep 0.5"
    work = state.Work(steps=(shell("run", script),), timeout=60, log_limit=4_000)
    supervise(job, work)
    await eventually((job / state.EXIT).exists, "the Job ended")
    log = (job / "run.log").read_text()
    assert len(log) < 4_000
    assert log.startswith("(older output was dropped)")
    assert log.endswith("line-3999\nlast\n")


def supervise(folder: Path, work: state.Work) -> None:
    subprocess.run(
        [sys.executable, "-m", "libs.common.launching.supervisor", str(folder)],
        input=msgspec.json.encode(work),
        cwd=ROOT,
        check=True,
        timeout=20,
    )


async def test_cancel_ends_children_and_removes_folder_and_clone(machine: Machine, tmp_path: Path):
    child = tmp_path / "child"
    clone = machine.folder / ".clones" / order().job_name
    await machine.start(shell("run", 'sleep 1000 & echo $! > "$FILE"; wait', FILE=str(child)))
    await eventually(lambda: number_in(child), "the child began")
    (clone / "repo").mkdir()
    supervisor = machine.supervisor()
    await machine.another().cancel(order().job_name)
    assert processes.find(number_in(child)) is None
    assert not processes.is_alive(supervisor.pid, supervisor.started)
    assert not machine.job.exists()
    assert not clone.exists()
    assert list(clone.parent.iterdir()) == []


async def test_logs_of_the_newest_forgotten_jobs_are_kept_for_people(machine: Machine):
    shelf = machine.folder / SHELF
    for number in range(KEPT):
        (shelf / f"00{number:02}-gca-review-old").mkdir(parents=True)
    await machine.run(shell("run", "echo why; exit 1"))
    await machine.launcher.cancel(order().job_name)
    kept = sorted(shelf.iterdir())
    assert (len(kept), kept[0].name) == (KEPT, "0001-gca-review-old")
    assert (shelf / kept[-1] / "run.log").read_text() == "why\n"


async def test_cancel_ends_even_a_supervisor_that_hangs(machine: Machine):
    await machine.start(shell("run", "exec sleep 1000"))
    await eventually((machine.job / state.STEPS).exists, "the step began")
    step = (state.read(machine.job / state.STEPS, list[Running]) or [])[0]
    supervisor = machine.supervisor()
    os.kill(supervisor.pid, signal.SIGSTOP)
    await machine.launcher.cancel(order().job_name)
    await eventually(lambda: processes.find(supervisor.pid) is None, "the supervisor is gone")
    await eventually(lambda: processes.find(step.pid) is None, "the step is gone")


async def test_a_killed_launcher_leaves_its_job_running_and_a_new_one_finds_it(tmp_path: Path):
    """SIGKILL of the service, and Ctrl-C of its terminal's group, end no Job."""
    script = textwrap.dedent(
        """
        import asyncio, sys, time
        from pathlib import Path
        from tests.contract.launcher import order
        from tests.integration.test_local_launcher import shell
        from libs.common.launching.local import LocalLauncher
        launcher = LocalLauncher(Path(sys.argv[1]), steps=lambda _: [shell("run", "sleep 60")])
        asyncio.run(launcher.launch(order()))
        print("launched", flush=True)
        time.sleep(60)
        """
    )
    service = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert service.stdout
    with service.stdout:
        assert service.stdout.readline() == "launched\n"
        os.killpg(service.pid, signal.SIGINT)
        os.killpg(service.pid, signal.SIGKILL)
        service.wait()
    launcher = LocalLauncher(tmp_path, steps=lambda _: [])
    supervisor = state.read(tmp_path / order().job_name / state.SUPERVISOR, Running)
    assert supervisor
    assert (await only_job(launcher)).phase == "running"
    await launcher.cancel(order().job_name)
    assert not processes.is_alive(supervisor.pid, supervisor.started)


async def test_a_killed_supervisor_leaves_no_orphan(machine: Machine, tmp_path: Path):
    child = tmp_path / "child"
    await machine.start(shell("run", 'sleep 1000 & echo $! > "$FILE"; wait', FILE=str(child)))
    await eventually(lambda: number_in(child), "the child began")
    os.kill(machine.supervisor().pid, signal.SIGKILL)
    job = await exited(machine.launcher)
    assert (job.reason, job.exit_code) == ("its supervisor ended unexpectedly", None)
    steps = state.read(machine.job / state.STEPS, list[Running]) or []
    await eventually(
        lambda: not any(processes.find(pid) for pid in (number_in(child), steps[0].pid)),
        "children are gone",
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="parent death signal is Linux's")
async def test_a_step_dies_with_its_supervisor_without_anybody_looking(machine: Machine):
    await machine.start(shell("run", "exec sleep 1000"))
    await eventually((machine.job / state.STEPS).exists, "the step began")
    step = (state.read(machine.job / state.STEPS, list[Running]) or [])[0]
    await eventually(lambda: "sleep" in Path(f"/proc/{step.pid}/cmdline").read_text(), "exec")
    os.kill(machine.supervisor().pid, signal.SIGKILL)
    await eventually(lambda: processes.find(step.pid) is None, "the step is gone")


async def test_a_claim_whose_launcher_died_before_the_start_counts_as_exited(machine: Machine):
    machine.job.mkdir(parents=True)
    claim = JobFile(job_name=order().job_name, task_id="t", kind="review", timeout=1, launched_at=0)
    state.write(machine.job / state.JOB, claim)
    job = await only_job(machine.launcher)
    assert (job.phase, job.reason) == ("exited", "its supervisor never came up")


async def test_a_claim_from_before_the_clock_was_set_back_is_not_waited_for(machine: Machine):
    machine.job.mkdir(parents=True)
    claim = JobFile(
        job_name=order().job_name,
        task_id="t",
        kind="review",
        timeout=1,
        launched_at=time.time() + 3600,
    )
    state.write(machine.job / state.JOB, claim)
    assert (await only_job(machine.launcher)).phase == "exited"
    async with asyncio.timeout(5):
        await machine.launcher.cancel(order().job_name)


async def test_a_reused_pid_is_not_taken_for_the_supervisor_and_not_killed(machine: Machine):
    machine.job.mkdir(parents=True)
    claim = JobFile(job_name=order().job_name, task_id="t", kind="review", timeout=1, launched_at=0)
    state.write(machine.job / state.JOB, claim)
    bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        old = Running(name="supervisor", pid=bystander.pid, started="long ago")
        state.write(machine.job / state.SUPERVISOR, old)
        state.write(machine.job / state.STEPS, [old])
        assert (await only_job(machine.launcher)).phase == "exited"
        await machine.launcher.cancel(order().job_name)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


async def test_a_supervisor_that_cannot_start_gives_the_name_free_again(machine: Machine):
    machine.job.mkdir(parents=True)
    (machine.job / "supervisor.log").mkdir()
    with pytest.raises(Temporary, match="cannot start a supervisor"):
        await machine.start(shell("run", "true"))
    assert await machine.launcher.jobs() == []
    assert (await machine.run(shell("run", "true"))).exit_code == 0


async def test_folder_that_cannot_be_made_is_temporary(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    launcher = LocalLauncher(tmp_path / "file" / "jobs", steps=lambda _: [])
    with pytest.raises(Temporary, match="the folder of local Jobs"):
        await launcher.launch(order())


async def test_steps_find_their_work_folder_for_nobody_else_to_read(machine: Machine):
    clone = machine.folder / ".clones" / order().job_name
    await machine.run(shell("clone", f"echo here > {clone}/repo"))
    assert (clone / "repo").read_text() == "here\n"
    assert [oct(path.stat().st_mode & 0o777) for path in (clone, machine.job)] == ["0o700"] * 2


async def test_names_that_leave_the_folder_are_refused(machine: Machine):
    for name in ("", "..", "a/b", ".clones"):
        with pytest.raises(Permanent, match="cannot be the name of a Job"):
            await machine.launcher.cancel(name)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is only ps elsewhere")
def test_processes_are_the_same_by_proc_and_by_ps():
    ours, init = os.getpid(), 1
    by_proc = {process.pid: process for process in processes.table()}
    by_ps = {process.pid: process for process in processes._by_ps("-A")}
    for pid in (ours, init):
        assert by_ps[pid].parent == by_proc[pid].parent
        assert by_ps[pid].group == by_proc[pid].group
    assert processes._by_ps("-p", str(ours)) == [by_ps[ours]]


async def test_exit_file_is_plain_json_for_people(machine: Machine):
    await machine.run(shell("run", "exit 11"))
    written = json.loads((machine.job / state.EXIT).read_text())
    assert written["reason"] == "run could not reach the task door; check TASK_DOOR_URL"
    assert (written["step"], written["exit_code"], written["signal"]) == ("run", 11, None)
