"""The CLI unpacks itself once for all sessions, and what is not whole is not shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runner.cli import unpack

pytestmark = pytest.mark.real


def program(folder: Path, then: str) -> Path:
    """A stand-in for the CLI that notes each start and unpacks itself as the real one does."""
    cli = folder / "copilot"
    cli.write_text(
        "#!/bin/sh\n"
        f"echo started >> {folder}/starts\n"
        'mkdir -p "$XDG_CACHE_HOME/copilot/pkg/linux-x64/1"\n'
        f"{then}\n"
    )
    cli.chmod(0o755)
    return cli


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}


def starts(folder: Path) -> int:
    return len((folder / "starts").read_text().splitlines())


async def test_it_unpacks_once_and_again_when_it_is_another_cli(tmp_path):
    cli, cache, env = program(tmp_path, "exit 0"), tmp_path / "cache", environment(tmp_path)

    assert [True, True] == [await unpack(cli, cache, env) for _ in range(2)]
    assert 1 == starts(tmp_path)

    program(tmp_path, "exit 0 # another version")
    assert await unpack(cli, cache, env)
    assert 2 == starts(tmp_path)


async def test_what_failed_half_way_is_not_shared_and_is_tried_again(tmp_path):
    cli, cache, env = program(tmp_path, "exit 1"), tmp_path / "cache", environment(tmp_path)

    assert [False, False] == [await unpack(cli, cache, env) for _ in range(2)]
    assert 2 == starts(tmp_path)


async def test_a_cli_that_does_not_start_is_no_failure_of_ours(tmp_path):
    cli = tmp_path / "copilot"
    cli.write_text("no program")

    assert not await unpack(cli, tmp_path / "cache", environment(tmp_path))
