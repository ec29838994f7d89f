"""Sets up a fresh clone: virtual environment, locked packages, the Copilot CLI. Called by `make`.

Runs before anything is installed, so it uses the standard library only. A second run finds its
stamps and downloads nothing.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
OLDEST, NEWEST = (3, 11), (3, 14)
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gitlab-copilot-agent"


class SetupError(Exception):
    """Set-up cannot go on; the text says what to do."""


def main(arguments: list[str]) -> int:
    """Install the lock files named in `arguments` (such as `ops`, `dev`), then the CLI."""
    try:
        check_machine()
        make_venv()
        for name in arguments:
            install(name)
        provide_cli()
    except SetupError as error:
        sys.stderr.write(f"set-up stopped: {error}\n")
        return 1
    return 0


def check_machine() -> None:
    """Name whatever is missing, with the package that brings it."""
    missing = []
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        found = ".".join(map(str, sys.version_info[:2]))
        missing.append(f"Python 3.11 to 3.14 (this is {found}); set PYTHON=/path/to/python3")
    for module in ("venv", "ensurepip"):
        try:
            __import__(module)
        except ImportError:
            missing.append(f"Python's {module} (Debian and Ubuntu: package python3-venv)")
    if not shutil.which("git"):
        missing.append("git (package git)")
    if missing:
        raise SetupError("this machine lacks " + "; ".join(missing))


def make_venv() -> None:
    if (VENV / "bin" / "python").exists():
        return
    with Progress("making the virtual environment in .venv"):
        call([sys.executable, "-m", "venv", str(VENV)])


def install(name: str) -> None:
    """Install `requirements/<name>.txt` by hash, unless its stamp says that is done."""
    lock = ROOT / "requirements" / f"{name}.txt"
    if not lock.exists():
        raise SetupError(f"there is no lock file requirements/{name}.txt")
    stamp = VENV / f".installed-{name}"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    count = sum(1 for line in lock.read_text().splitlines() if "==" in line[:80])
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    with Progress(f"installing {count} locked packages ({name})"):
        try:
            call([*pip, "install", "--quiet", "--require-hashes", "--requirement", str(lock)])
        except SetupError as error:
            raise SetupError(
                f"{error}\nIf the package index is out of reach, set PIP_INDEX_URL or HTTPS_PROXY."
            ) from None
    stamp.write_text(digest)


def cli_version() -> str:
    """The CLI version that the installed SDK is made for; read as text, importing it is slow."""
    for file in VENV.glob("lib/python3*/site-packages/copilot/_cli_version.py"):
        found = re.search(r'CLI_VERSION[^=]*=\s*"([^"]+)"', file.read_text(encoding="utf-8"))
        if found:
            return found[1]
    raise SetupError("the Copilot SDK is not installed as expected; try `make clean` and again")


def provide_cli() -> None:
    """Put the Copilot CLI of the pinned version where the runner looks for it."""
    if os.environ.get("COPILOT_CLI_PATH"):
        return
    version = cli_version()
    target = CACHE / "cli" / version / "copilot"
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for source in (from_github, from_npm):
        try:
            source(version, target)
            return
        except SetupError as error:
            reasons.append(str(error))
    raise SetupError(
        f"no Copilot CLI {version}: COPILOT_CLI_PATH is not set, {target} is not there, "
        + ", and ".join(reasons)
        + f". Any one will do: set COPILOT_CLI_PATH to the CLI, put it at that place, give access "
        f"to GitHub's releases (python -m copilot download-runtime), or install npm (package npm) "
        f"with access to its registry (@github/copilot-{npm_platform()}@{version})."
    )


def from_github(_: str, target: Path) -> None:
    """Let the SDK download its runtime, and leave a small script that starts it."""
    python = str(VENV / "bin" / "python")
    with Progress("downloading the Copilot CLI from GitHub's releases"):
        # Where GitHub is fenced off without a word, npm must get its turn.
        call([python, "-m", "copilot", "download-runtime"], short=True, timeout=300)
    code = "from copilot._cli_download import download_cli; print(download_cli())"
    path = output([python, "-c", code]).strip().splitlines()[-1]
    write_executable(target, f'#!/bin/sh\nexec "{path}" "$@"\n'.encode())


def from_npm(version: str, target: Path) -> None:
    """Take the self-contained executable out of the npm package; no install script runs."""
    if not shutil.which("npm"):
        raise SetupError("npm is not installed (package npm)")
    package = f"@github/copilot-{npm_platform()}@{version}"
    with tempfile.TemporaryDirectory() as folder:
        with Progress(f"downloading the Copilot CLI {version} with npm (130 MB)"):
            call(["npm", "pack", "--silent", package], cwd=folder, short=True)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            for name in ("LICENSE.md", "copilot"):
                member = archive.extractfile(f"package/{name}")
                if member is not None:
                    write_executable(target.with_name(name), member.read())


def npm_platform() -> str:
    system = {"Darwin": "darwin"}.get(platform.system(), "linux")
    machine = platform.machine().lower()
    return f"{system}-{'arm64' if machine in ('arm64', 'aarch64') else 'x64'}"


def write_executable(path: Path, content: bytes) -> None:
    """Write at once or not at all, so that an interrupted set-up leaves nothing half done."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.chmod(0o755)
    part.replace(path)


def output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # own command
    if done.returncode != 0:
        raise SetupError(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-400:]}")
    return done.stdout


def call(
    command: list[str],
    cwd: str | None = None,
    *,
    short: bool = False,
    timeout: float | None = None,
) -> None:
    """Run a command quietly; its last lines are in the error when it fails."""
    try:
        done = subprocess.run(  # noqa: S603  # commands of this file only
            command,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise SetupError(f"`{command[-1]}` was not done after {timeout:.0f} s") from None
    if done.returncode != 0:
        lines = done.stdout.strip().splitlines()[-(1 if short else 12) :]
        name = " ".join(Path(part).name for part in command[:4])
        raise SetupError(f"`{name}` failed: " + "\n".join(lines))


class Progress:
    """Says what runs; on a terminal it counts the seconds while it does."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.done = threading.Event()

    def __enter__(self) -> None:
        self.start = time.monotonic()
        self.thread = threading.Thread(target=self._tick, daemon=True)
        self.thread.start()

    def __exit__(self, kind: object, *_: object) -> None:
        self.done.set()
        self.thread.join()
        word = "failed" if kind else "done"
        end = "\r" if sys.stderr.isatty() else ""
        seconds = time.monotonic() - self.start
        sys.stderr.write(f"{end}{self.what} … {word} in {seconds:.0f} s\n")

    def _tick(self) -> None:
        if not sys.stderr.isatty():
            sys.stderr.write(f"{self.what} …\n")
            return
        while not self.done.wait(0.5):
            sys.stderr.write(f"\r{self.what} … {time.monotonic() - self.start:.0f} s")
            sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
