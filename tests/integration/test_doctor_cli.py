"""`gca doctor` and its like as commands: exit codes, 60 columns, no colour, pipes, progress."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from pathlib import Path

import pytest

from services.ops.doctor.run import run
from services.ops.places import ROOT
from tests.integration.doctor_world import fake_cli, healthy, screen

pytestmark = pytest.mark.real


@pytest.fixture
async def world(tmp_path, connection, nats_server):
    async with healthy(tmp_path, connection, nats_server) as made:
        fake_cli(made)
        yield made


def environment(folder: Path, **settings: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"GCA_STATE_DIR": str(folder), "GCA_DOTENV": os.devnull} | settings


async def gca(folder: Path, *arguments: str, out: int | None = None, **settings: str):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ops", *arguments,
        cwd=ROOT, env=environment(folder, **settings),
        stdout=asyncio.subprocess.PIPE if out is None else out,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, err = await process.communicate()
    return process.returncode, (said or b"").decode(), err.decode()


async def test_a_healthy_world_is_well_and_each_line_is_json(world):
    world.seconds = 10
    terminal, out, _ = screen()

    code = await run(world.situation(), terminal, as_json=True)

    checks = [json.loads(line) for line in out.getvalue().splitlines()]
    assert code == 0, checks
    assert {"name", "state", "meaning", "mend"} == set(checks[0])
    states = {check["name"]: check["state"] for check in checks}
    assert {"ok"} == {state for name, state in states.items() if name != "wall for coding"}, checks


async def test_one_broken_thing_is_exit_code_1_and_the_rest_is_still_told(world):
    world.seconds = 10
    world.settings["GITLAB_TOKEN"] = "glpat-wrong"
    terminal, out, _ = screen("60")

    code = await run(world.situation(), terminal, as_json=False)

    text = out.getvalue()
    assert code == 1
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines() if "http" not in line) <= 60
    assert "mend what is broken" in text
    for name in ("NATS", "model", "git ", "Copilot CLI", "role in group/app"):
        assert name in text


async def test_a_slow_peer_is_named_while_it_is_waited_for(world):
    world.settings["COPILOT_MODEL"] = "sim-slow"
    terminal, out, err = screen()

    await run(world.situation(), terminal, as_json=False)

    assert "still waiting for: " in err.getvalue()
    assert "model" in err.getvalue()
    assert "still waiting" not in out.getvalue()


async def test_without_anything_set_the_doctor_says_how_to_start(tmp_path):
    code, out, _ = await gca(tmp_path, "doctor", PORT="0", TASK_DOOR_PORT="0")

    assert code == 0, out
    assert "run `make up`" in out
    assert "\x1b" not in out


async def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        code, _, err = await gca(tmp_path, "doctor", out=writing, PORT="0")
    finally:
        os.close(writing)
    assert (code, err) == (141, "")


async def test_a_terminal_without_unicode_is_no_error(tmp_path):
    code, out, err = await gca(tmp_path, "doctor", PORT="0", PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    assert out.isascii()


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
async def test_colours_are_for_terminals_without_no_color(tmp_path, no_color, colored):
    ours, theirs = pty.openpty()
    try:
        await gca(tmp_path, "doctor", out=theirs, PORT="0", NO_COLOR=no_color)
        said = os.read(ours, 65536)
    finally:
        os.close(theirs)
        os.close(ours)
    assert colored == (b"\x1b[" in said)


@pytest.mark.parametrize("arguments", [["events", "42!7"], ["stats"], ["doctor", "--task"]])
async def test_what_needs_a_running_system_says_so(tmp_path, arguments):
    code, out, err = await gca(tmp_path, *arguments)

    assert (code, out) == (1, "")
    assert "NATS_URL" in err
    assert "Traceback" not in err


async def test_a_strange_merge_request_is_refused_in_a_sentence(tmp_path):
    code, _, err = await gca(tmp_path, "events", "42-7", NATS_URL="nats://127.0.0.1:1")

    assert code == 1
    assert "is not a merge request; write PROJECT!IID" in err
