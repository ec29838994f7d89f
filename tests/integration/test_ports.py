"""Ports that one `gca up` has taken are no other one's, though nobody listens there yet."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.ops.ports import Ports, free_port

pytestmark = pytest.mark.real
OTHER = """
import sys
from pathlib import Path
from services.ops.ports import Ports
print(Ports(Path(sys.argv[1])).take(int(sys.argv[2])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "ports.lock"


@contextlib.asynccontextmanager
async def another(
    file: Path, preferred: int
) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """Another process, and the port that it took."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OTHER, str(file), str(preferred)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline()), process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_port_that_another_process_has_taken_is_not_given_twice(file: Path) -> None:
    wanted = free_port(0)
    async with another(file, wanted) as (theirs, _):
        ours = Ports(file).take(wanted)

    assert wanted == theirs
    assert wanted != ours


async def test_a_port_is_free_again_when_its_process_was_killed(file: Path) -> None:
    wanted = free_port(0)
    async with another(file, wanted) as (_, process):
        process.kill()
        await process.wait()
        assert wanted == Ports(file).take(wanted)


def test_one_process_gets_each_port_once(file: Path) -> None:
    ports, wanted = Ports(file), free_port(0)

    assert wanted == ports.take(wanted)
    assert wanted != ports.take(wanted)
