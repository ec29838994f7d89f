"""`python -m services.runner clone|run`: one step of a Job, started by a launcher."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import get_args

import structlog

from libs.common import telemetry
from libs.common.errors import SettingsError
from libs.common.launching.contract import (
    CA_BUNDLE,
    OTLP_ENDPOINT,
    POD_WALL,
    STEP_SETTINGS,
    TASK_TOKEN,
    WALL,
    ExitCode,
    Step,
)
from services.runner import pod
from services.runner.erasing import erase
from services.runner.wiring import run_step


def main(arguments: list[str]) -> int:
    """The step's exit code, see `ExitCode`."""
    if len(arguments) != 1 or arguments[0] not in get_args(Step):
        sys.stderr.write("usage: python -m services.runner clone|run\n")
        return ExitCode.WRONG_SETTINGS
    if os.environ.get(WALL) == POD_WALL:
        pod.hide()
    authorities = os.environ.get(CA_BUNDLE)
    telemetry.configure(
        "runner",
        os.environ.get("LOG_LEVEL", "INFO"),
        endpoint=os.environ.pop(OTLP_ENDPOINT, ""),
        ca_bundle=Path(authorities) if authorities else None,
        keep=arguments[0] == "clone",
    )
    step: Step = "clone" if arguments[0] == "clone" else "run"
    erase((TASK_TOKEN, *STEP_SETTINGS[step]))
    try:
        return asyncio.run(_until_stopped(step))
    except SettingsError as error:
        lines = "".join(f"  {problem}\n" for problem in error.problems)
        sys.stderr.write(f"runner cannot start; settings to mend:\n{lines}")
        return ExitCode.WRONG_SETTINGS
    except Exception:  # noqa: BLE001  our own mistake, whatever it is, has an exit code
        structlog.get_logger().exception("step failed")
        return ExitCode.INTERNAL
    finally:
        telemetry.shutdown()


async def _until_stopped(step: Step) -> int:
    """Run the step; SIGTERM and SIGINT cancel it, which stops git or the CLI."""
    task = asyncio.create_task(run_step(step, os.environ))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return ExitCode.STOPPED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
