"""One small process per local Job: runs its steps, keeps the deadline, says how it ended.

    python -m libs.common.launching.supervisor <folder>   (the work as JSON by stdin)

Started by `local`, whose death it survives: it leaves the launcher's session and process group,
and is found again by `supervisor.json`. SIGTERM cancels the Job.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import msgspec

from libs.common.launching import exits, processes, state
from libs.common.launching.state import Exit, Running, Step, Work
from libs.common.leash import leashed

_TICK = 0.2
_READY = b"ready"


class Supervisor:
    """Runs the steps of one Job after each other, each as the leader of its own session."""

    def __init__(self, folder: Path, work: Work) -> None:
        self._folder = folder
        self._work = work
        self._deadline = time.monotonic() + work.timeout
        self._cancelled = False
        self._running: list[Running] = []
        self._seconds: dict[str, float] = {}

    def cancel(self, _number: int, _frame: FrameType | None) -> None:
        self._cancelled = True

    def run(self) -> Exit:
        """The end of the last step that ran; `exit.json` holds it too."""
        end = Exit(reason="there was nothing to run", exit_code=0)
        for step in self._work.steps:
            end = self._run_step(step)
            if end.exit_code != 0:
                break
        state.write(self._folder / state.EXIT, end)
        return end

    def _run_step(self, step: Step) -> Exit:
        begun = time.monotonic()
        log = self._folder / f"{step.name}.log"
        # O_APPEND, so that a shortened log goes on at its new end.
        with log.open("ab", buffering=0) as output:
            process = self._start(step, output)
        why = self._watch(process, log)
        self._end_all(process)
        self._seconds[step.name] = round(time.monotonic() - begun, 3)
        return self._ended(step.name, process.returncode, why)

    def _start(self, step: Step, output: BinaryIO) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603  the launcher's command, no shell
            leashed(list(step.argv)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=step.environment,
            start_new_session=True,
        )
        self._running.append(_running(step.name, process.pid))
        state.write(self._folder / state.STEPS, self._running)
        return process

    def _watch(self, process: subprocess.Popen[bytes], log: Path) -> str:
        """Wait for the step to end by itself; else why it must be ended."""
        while True:
            try:
                process.wait(timeout=_TICK)
                return ""
            except subprocess.TimeoutExpired:
                shorten(log, self._work.log_limit)
            if self._cancelled:
                return "cancelled"
            if time.monotonic() > self._deadline:
                return "deadline"

    def _end_all(self, process: subprocess.Popen[bytes]) -> None:
        leader = self._running[-1]
        if process.returncode is None:
            processes.end_group(leader.pid, leader.started, self._work.grace)
            process.wait()
        processes.kill_group(leader.pid, leader.started, signal.SIGKILL)
        processes.kill_children()

    def _ended(self, name: str, code: int, why: str) -> Exit:
        if why == "cancelled":
            reason, exit_code = f"{name} was cancelled", 128 + signal.SIGTERM
        elif why == "deadline":
            reason = f"{name} was ended at the deadline of {self._work.timeout:g} seconds"
            exit_code = exits.DEADLINE
        else:
            reason, exit_code = exits.in_words(name, code), code if code >= 0 else 128 - code
        number = -code if code < 0 else None
        return Exit(
            reason=reason, step=name, exit_code=exit_code, signal=number, seconds=self._seconds
        )


def shorten(log: Path, limit: int) -> None:
    """Keep only the newest quarter of a log that outgrew `limit` bytes."""
    if log.stat().st_size <= limit:
        return
    with log.open("r+b") as file:
        file.seek(-limit // 4, os.SEEK_END)
        newest = file.read()
        file.truncate(0)
    with log.open("ab") as file:
        file.write(b"(older output was dropped)\n" + newest)


def _running(name: str, pid: int) -> Running:
    process = processes.find(pid)
    return Running(name=name, pid=pid, started=process.started if process else "")


def _supervise(folder: Path, work: Work, ready: int) -> None:
    os.setsid()
    processes.adopt_orphans()
    supervisor = Supervisor(folder, work)
    signal.signal(signal.SIGTERM, supervisor.cancel)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    state.write(folder / state.SUPERVISOR, _running("supervisor", os.getpid()))
    os.write(ready, _READY)
    os.close(ready)
    supervisor.run()


def main(folder: Path) -> int:
    """Fork the supervisor and return once it can be found again; 1 when it could not start."""
    work = msgspec.json.decode(sys.stdin.buffer.read(), type=Work)
    reading, writing = os.pipe()
    # Nobody but init waits for the child, so no launcher collects zombies.
    if os.fork() == 0:
        os.close(reading)
        _supervise(folder, work, writing)
        return 0
    os.close(writing)
    return 0 if os.read(reading, len(_READY)) == _READY else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
