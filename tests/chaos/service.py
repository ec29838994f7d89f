"""Starts a service whose Jobs are run by another python, which may be a stand-in for the runner.

    python -m tests.chaos.service <name> <python of Jobs> [--blind]

The launcher starts Jobs with `sys.executable`; nothing else of the service knows.
"""

from __future__ import annotations

import runpy
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.chaos import blind

SCRIPT = Path(__file__).with_name("instant_runner.py")


def python_of_jobs(folder: Path, real_projects: Iterable[int]) -> Path:
    """A python that is the real one, but for steps of Jobs outside of `real_projects`.

    Their step `clone` is nothing, and their step `run` is the instant runner.
    """
    real = "|".join(f"*/tasks/*-{project_id}-*" for project_id in real_projects) or "none"
    python, script = shlex.quote(sys.executable), shlex.quote(str(SCRIPT))
    made = folder / "python"
    made.write_text(
        f"""#!/bin/sh
# {folder}
if [ "$2" = services.runner ]; then
  case "$GCA_TASK_URL" in
  {real}) ;;
  *)
    [ "$3" = clone ] && exit 0
    exec {python} -I -S {script} {shlex.quote(str(folder))}
  esac
fi
exec {python} "$@"
"""
    )
    made.chmod(0o755)
    return made


def main(name: str, python: str, *options: str) -> None:
    if "--blind" in options:
        blind.put_out_its_eyes()
    sys.argv[1:] = []
    sys.executable = python
    runpy.run_module(f"services.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
