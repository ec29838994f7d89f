"""`gca up` and `make demo` as a person at a terminal sees them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.ops.environments import SERVICES
from services.ops.places import ROOT, announced
from tests.simulators.gitlab import running_gitlab
from tests.simulators.gitlab.state import MAINTAINER
from tests.simulators.model import running_model

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]
COMMAND = [sys.executable, "-m", "services.ops"]


def environment(state: Path, **settings: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return inherited | {"GCA_STATE_DIR": str(state)} | settings


@contextlib.asynccontextmanager
async def started(
    state: Path, *arguments: str, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        cwd=ROOT,
        env=environment(state, **settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def text_of(process: asyncio.subprocess.Process) -> str:
    out, _ = await process.communicate()
    return out.decode()


async def line_with(process: asyncio.subprocess.Process, words: str) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            if words in line:
                return line
    raise AssertionError(f"it ended without saying {words!r}")


async def lines_until(process: asyncio.subprocess.Process, words: str) -> list[str]:
    """Every line up to the one with these words."""
    assert process.stdout is not None
    found: list[str] = []
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            found.append(line)
            if words in line:
                return found
    raise AssertionError(f"it ended without saying {words!r}: {found}")


def processes_of(state: Path) -> list[str]:
    """Command lines of living processes that were given this state folder, or run below it."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                about = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if str(state).encode() in about:
                    found.append((entry / "cmdline").read_bytes().decode().replace("\0", " "))
    return found


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if look():
                return
            await asyncio.sleep(0.1)


async def nothing_left(state: Path) -> None:
    await until(lambda: processes_of(state) == [])


async def test_the_demo_prints_the_three_flows_as_posted_and_ends_well(tmp_path):
    async with started(tmp_path, "up", "--demo") as process:
        text = await text_of(process)

    assert 0 == process.returncode, text
    for word in (
        "NATS up",
        "ingest up",
        "reviewer up",
        "coder up",
        "publisher up",
        "demo merge request opened",
        "session started",
        "shop/vouchers.py:31",
        "## Copilot review",
        "wrote `/copilot add a test",
        "has eyes on its note",
        "reply in the thread:",
        "command   commit ",
        "moved the demo issue to AI Ready",
        "moved its issue to In Progress",
        "moved its issue to In Review",
        "comment in Jira:",
        "issue     Draft merge request !2, commit ",
        "seen to task",
        "stopped",
    ):
        assert word in text, text
    assert "<!--" not in text
    await nothing_left(tmp_path)


async def test_ctrl_c_ends_everything_and_says_so(tmp_path):
    async with started(tmp_path, "up") as process:
        await line_with(process, "press Ctrl-C")
        process.send_signal(signal.SIGINT)
        text = await text_of(process)

    assert 0 == process.returncode
    assert text.rstrip().endswith("stopped")
    assert announced(tmp_path) is None
    await nothing_left(tmp_path)


async def test_a_killed_up_leaves_no_service_behind(tmp_path):
    async with started(tmp_path, "up") as process:
        await line_with(process, "press Ctrl-C")
        process.kill()
        await process.wait()

    services = (*(f"services.{name}" for name in SERVICES), "simulators", "nats-")

    def gone() -> bool:
        return not any(name in line for line in processes_of(tmp_path) for name in services)

    await until(gone)


async def test_every_missing_setting_is_listed_at_once_and_nothing_is_simulated(tmp_path):
    async with started(tmp_path, "up", GITLAB_URL="https://gitlab.test", TASK_TIMEOUT="x") as up:
        text = await text_of(up)

    assert 2 == up.returncode
    for name in (
        "GITLAB_READ_TOKEN",
        "GITLAB_TOKEN",
        "GITLAB_WEBHOOK_SECRET",
        "GITHUB_TOKEN",
        "TASK_TIMEOUT",
    ):
        assert f"{name}: " in text, text
    assert "simulated" not in text.replace(str(tmp_path), "")
    await nothing_left(tmp_path)


async def test_a_port_that_is_no_number_is_named(tmp_path):
    async with started(tmp_path, "up", GITLAB_URL="https://gitlab.test", PORT="abc") as process:
        text = await text_of(process)

    assert 2 == process.returncode
    assert "PORT: must be a number from 0 to 65535" in text
    assert "Traceback" not in text


async def test_a_second_up_on_the_same_folder_is_refused(tmp_path):
    async with started(tmp_path, "up") as first:
        await line_with(first, "press Ctrl-C")
        async with started(tmp_path, "up") as second:
            text = await text_of(second)
        first.send_signal(signal.SIGINT)
        await text_of(first)

    assert 1 == second.returncode
    assert "another `gca up` runs" in text


async def test_nats_that_dies_is_started_again_and_the_services_go_on(tmp_path):
    async with started(tmp_path, "up") as process:
        # What NATS has acknowledged must survive; a webhook it never saw is GitLab's to lose.
        await line_with(process, " requested: ")
        pid = int((tmp_path / "simulated" / "nats" / "nats-server.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        await line_with(process, "starting it again")
        await line_with(process, " posted ")
        process.send_signal(signal.SIGINT)
        await text_of(process)

    assert 0 == process.returncode


async def test_an_outage_of_nats_is_said_once_and_not_by_each_service(tmp_path):
    async with started(tmp_path, "up") as process:
        await line_with(process, "press Ctrl-C")
        pid = int((tmp_path / "simulated" / "nats" / "nats-server.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        said = await lines_until(process, "NATS is back")
        process.send_signal(signal.SIGINT)
        await text_of(process)

    troubles = [line for line in said if "  trouble  " in line]
    assert 2 == len(troubles), troubles
    for words in ("NATS is away", "nats-server ended"):
        assert 1 == len([line for line in troubles if words in line]), troubles


async def test_sr_30_with_a_real_gitlab_the_start_warns_of_a_bot_that_could_merge(tmp_path):
    """GITLAB_URL is set, so nothing is simulated by `gca up` itself."""
    async with running_gitlab(tmp_path / "gitlab") as gitlab, running_model() as model:
        project = gitlab.create_project("shop/app", bot_access=MAINTAINER)
        settings = {
            "GITLAB_URL": gitlab.url,
            "GITLAB_READ_TOKEN": gitlab.read_token,
            "GITLAB_TOKEN": gitlab.write_token,
            "GITLAB_WEBHOOK_SECRET": "hook-secret",
            "GITLAB_PROJECTS": project.path_with_namespace,
            "COPILOT_PROVIDER_TYPE": "openai",
            "COPILOT_PROVIDER_BASE_URL": model.url,
            "COPILOT_PROVIDER_API_KEY": model.api_key,
            "COPILOT_MODEL": "sim-reviewer",
        }
        async with started(tmp_path / "state", "up", **settings) as process:
            before = await lines_until(process, "could merge to main")
            running = announced(tmp_path / "state")
            assert running is not None
            gitlab.set_webhook(url=running.webhook_url, secret="hook-secret")
            gitlab.commit(project, branch="topic", files={"app.py": "eval(input())\n"})
            await gitlab.open_merge_request(project, source_branch="topic")
            posted = await line_with(process, " posted ")
            process.send_signal(signal.SIGINT)
            await text_of(process)

    assert "Protected branches" in before[-1]
    assert 1 == len([line for line in before if "no Jira: JIRA_URL is not set" in line])
    assert f"{gitlab.url}/shop/app/-/merge_requests/1" in posted
