"""Launches Jobs as child processes of one machine; wired by services when `TASK_EXECUTOR=local`.

All state is in files, so that any replica on the machine, now or after a restart, sees and ends
the same Jobs. Everything here blocks and therefore runs in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from libs.common.errors import Permanent, Temporary
from libs.common.launching import processes, state
from libs.common.launching.contract import INHERITED
from libs.common.launching.protocol import Job, Launch
from libs.common.launching.state import Exit, JobFile, Running, Step, Work

ROOT = Path(__file__).resolve().parents[3]
"""Where `python -m libs…` and `python -m services…` find their packages."""
START_SECONDS = 30.0
"""Longest that a supervisor may take to come up before its claim counts as dead."""
GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL to a step."""
SLACK_SECONDS = 3.0
"""What a supervisor may take on top of that to end, before it is killed itself."""
SHELF = ".ended"
"""Folder of the newest `KEPT` forgotten Jobs' logs, for people who look for what went wrong."""
KEPT = 20
_T = TypeVar("_T")


class LocalLauncher:
    """Implements `protocol.Launcher`; a Job is the folder `<folder>/<job_name>`.

    Finished folders stay until cancelled; then their logs are kept in `SHELF`. `clones` holds an
    own work folder per Job, made before its steps start and removed with it. `grace` is seconds
    between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        folder: Path,
        *,
        steps: Callable[[Launch], list[Step]],
        clones: Path | None = None,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._folder = folder
        self._grace = grace
        self._steps = steps
        self._clones = clones or default_clones(folder)

    async def launch(self, order: Launch) -> None:
        await in_thread(lambda: self._launch(order))

    async def jobs(self) -> list[Job]:
        return await in_thread(self._jobs)

    async def cancel(self, job_name: str) -> None:
        await in_thread(lambda: self._cancel(job_name))

    async def trouble(self) -> str | None:
        """None: a folder of this machine is not away."""
        return None

    def _launch(self, order: Launch) -> None:
        folder = self._path(order.job_name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not state.claim(folder / state.JOB, _claim(order)):
            return
        try:
            (self._clones / order.job_name).mkdir(mode=0o700, parents=True, exist_ok=True)
            work = Work(steps=tuple(self._steps(order)), timeout=order.timeout, grace=self._grace)
            _start(folder, work)
        except BaseException:
            # A claim without a supervisor would look like a Job that is about to start.
            self._discard(order.job_name)
            raise

    def _jobs(self) -> list[Job]:
        if not self._folder.is_dir():
            return []
        self._sweep()
        folders = (path for path in self._folder.iterdir() if not path.name.startswith("."))
        return [job for folder in sorted(folders) if (job := job_in(folder))]

    def _cancel(self, job_name: str) -> None:
        _await_supervisor(self._path(job_name))
        self._discard(job_name)

    def _discard(self, job_name: str) -> None:
        folder = self._path(job_name)
        supervisor = state.read(folder / state.SUPERVISOR, Running)
        if supervisor and processes.is_alive(supervisor.pid, supervisor.started):
            _end_supervisor(supervisor, self._grace + SLACK_SECONDS)
        _kill_steps(folder)
        self._remove(job_name)

    def _remove(self, job_name: str) -> None:
        """Forget at once by renaming: the logs go to the shelf, the clone is deleted."""
        shelf = self._folder / SHELF
        shelf.mkdir(mode=0o700, parents=True, exist_ok=True)
        clone = self._clones / job_name
        gone = clone.with_name(f".gone-{job_name}-{secrets.token_hex(4)}")
        for path, target in (
            (self._path(job_name), shelf / f"{time.time_ns()}-{job_name}"),
            (clone, gone),
        ):
            with contextlib.suppress(FileNotFoundError):
                path.rename(target)
        shutil.rmtree(gone, ignore_errors=True)
        for oldest in sorted(shelf.iterdir())[:-KEPT]:
            shutil.rmtree(oldest, ignore_errors=True)

    def _sweep(self) -> None:
        """Finish deletions that a crash interrupted."""
        for gone in self._clones.glob(".gone-*"):
            shutil.rmtree(gone, ignore_errors=True)

    def _path(self, job_name: str) -> Path:
        if not job_name or "/" in job_name or job_name.startswith("."):
            raise Permanent(f"{job_name[:80]!r} cannot be the name of a Job")
        return self._folder / job_name


async def in_thread(call: Callable[[], _T]) -> _T:
    try:
        return await asyncio.to_thread(call)
    except OSError as error:
        raise Temporary(f"the folder of local Jobs: {error.strerror or error}") from None


def default_clones(folder: Path) -> Path:
    """Where work folders are when nobody says otherwise: beside the Jobs, not listed as one."""
    return folder / ".clones"


def _claim(order: Launch) -> JobFile:
    return JobFile(
        job_name=order.job_name,
        task_id=order.task_id,
        kind=order.kind,
        timeout=order.timeout,
        launched_at=time.time(),
    )


def _start(folder: Path, work: Work) -> None:
    """Start the supervisor and return when it can be found again; raises `Temporary`."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    try:
        with (folder / "supervisor.log").open("ab") as output:
            done = subprocess.run(  # noqa: S603  our own module and a folder of ours
                [sys.executable, "-m", "libs.common.launching.supervisor", str(folder.resolve())],
                input=msgspec.json.encode(work),
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env=inherited,
                start_new_session=True,
                timeout=START_SECONDS,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Temporary(f"cannot start a supervisor: {type(error).__name__}") from None
    if done.returncode:
        raise Temporary(f"the supervisor did not start (exit code {done.returncode})")


def job_in(folder: Path) -> Job | None:
    """The Job of a folder; None when there is none (yet)."""
    claim = state.read(folder / state.JOB, JobFile)
    if claim is None:
        return None
    end = _end(folder, claim)
    if end is None:
        return Job(job_name=claim.job_name, task_id=claim.task_id, phase="running")
    return Job(
        job_name=claim.job_name,
        task_id=claim.task_id,
        phase="exited",
        reason=end.reason,
        exit_code=end.exit_code,
    )


def _end(folder: Path, claim: JobFile) -> Exit | None:
    """How the Job ended; None while it runs. A Job without a supervisor is ended here."""
    end = state.read(folder / state.EXIT, Exit)
    if end:
        return end
    supervisor = state.read(folder / state.SUPERVISOR, Running)
    if supervisor is None:
        fresh = _is_fresh(claim)
        return None if fresh else Exit(reason="its supervisor never came up")
    if processes.is_alive(supervisor.pid, supervisor.started):
        return None
    _kill_steps(folder)
    return state.read(folder / state.EXIT, Exit) or Exit(reason="its supervisor ended unexpectedly")


def _await_supervisor(folder: Path) -> None:
    """Return once there is a supervisor, which another replica may be starting right now."""
    while (claim := state.read(folder / state.JOB, JobFile)) is not None:
        if not _is_fresh(claim) or (folder / state.SUPERVISOR).exists():
            return
        time.sleep(0.05)


def _is_fresh(claim: JobFile) -> bool:
    """Also by a clock that was set back: what lies far ahead is as long ago."""
    return abs(time.time() - claim.launched_at) < START_SECONDS


def _end_supervisor(supervisor: Running, seconds: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor.pid, signal.SIGTERM)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not processes.is_alive(supervisor.pid, supervisor.started):
            return
        time.sleep(0.05)
    processes.kill_group(supervisor.pid, supervisor.started, signal.SIGKILL)


def _kill_steps(folder: Path) -> None:
    for step in state.read(folder / state.STEPS, list[Running]) or []:
        processes.kill_group(step.pid, step.started, signal.SIGKILL)
