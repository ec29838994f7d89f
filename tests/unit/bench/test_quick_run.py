"""The smoke run: every part is measured and the table is written. No figure is looked at."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.real
@pytest.mark.timeout(300)
async def test_a_quick_run_ends_and_writes_its_table(tmp_path):
    page = tmp_path / "performance.md"

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "--quick", "--output", str(page)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()

    assert 0 == process.returncode, out.decode()
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    assert len(rows) > 10
    assert "a share of a bare handler's" in rows[1]
