"""What each service weighs: memory idle and after many webhooks, and how long it takes to start."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import statistics
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench.children import ROOT, child, ports, ready
from bench.intake import Round, durable_log, load
from services.ops.environments import environment
from tests.e2e.system import SERVICES, WEBHOOK_SECRET, System, running_system
from tests.fixtures import nats

SETTLE_SECONDS = 2.0
_MOST_DOMINATORS = 6
LIBRARIES = (
    *("asyncio", "structlog", "aiohttp.web", "pydantic_settings", "msgspec"),
    *("opentelemetry.exporter.prometheus", "nats", "gitlab"),
)
"""What the services share, in the order of growing distance from the interpreter."""
_GROWTH = """
import importlib, json, os, sys
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
found = {"the interpreter": resident()}
for name in sys.argv[1:]:
    before = resident()
    importlib.import_module(name)
    found[name] = resident() - before
print(json.dumps(found), file=sys.stderr)
"""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Of one process, in MB (10^6 bytes); `pss` counts a shared page by its share."""

    rss: float
    pss: float


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, each a median; `dominators` are imports by their own and their children's time."""

    imports: float
    ready: float
    dominators: tuple[tuple[str, float], ...]


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of one service, idle and after the webhooks."""

    idle: Memory
    after: Memory


async def starts(folder: Path, *, times: int) -> dict[str, Start]:
    """How long each service takes to be there, one at a time."""
    found = {}
    async with durable_log(folder) as url:
        for name in SERVICES:
            seconds = [await ready_seconds(name, url, folder) for _ in range(times)]
            module = f"services.{name}.wiring"
            imports = [await asyncio.to_thread(_import_seconds, module) for _ in range(times)]
            found[name] = Start(
                imports=statistics.median(imports),
                ready=statistics.median(seconds),
                dominators=dominators(await asyncio.to_thread(_import_times, module)),
            )
    return found


def growth() -> dict[str, float]:
    """MB of resident memory that each library adds to an interpreter, imported in this order."""
    found: dict[str, float] = json.loads(_run("-c", _GROWTH, *LIBRARIES)[1])
    return found


async def weights(folder: Path, *, hooks: int) -> dict[str, Weight]:
    """Memory of the running system's services before and after so many webhooks."""
    async with running_system(folder) as system:
        await asyncio.sleep(SETTLE_SECONDS)
        idle = _memories(system)
        port = int(system.services["ingest"].environment["PORT"])
        asked = Round(run=secrets.token_hex(4), count=hooks, secret=WEBHOOK_SECRET)
        await load(port, asked)
        await system.until(lambda: _all_handled(system), "the events to be handled", seconds=300)
        await asyncio.sleep(SETTLE_SECONDS)
        after = _memories(system)
    return {name: Weight(idle=idle[name], after=after[name]) for name in SERVICES}


async def _all_handled(system: System) -> bool:
    return await nats.settled(system.connection, "reviewer")


def _memories(system: System) -> dict[str, Memory]:
    return {name: memory(system.pid(name)) for name in SERVICES}


def memory(pid: int) -> Memory:
    """What the kernel says of one process (Linux, proc(5): smaps_rollup)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    sizes = {
        name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)
    }
    return Memory(rss=sizes["Rss"] * 1024 / 1e6, pss=sizes["Pss"] * 1024 / 1e6)


async def ready_seconds(name: str, nats_url: str, folder: Path) -> float:
    """From the start of this service's process until `/readyz` answers 200."""
    settings = {
        "GITLAB_URL": "https://gitlab.example.com",
        "GITLAB_READ_TOKEN": "bench",
        "GITLAB_TOKEN": "bench",
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_PROVIDER_BASE_URL": "http://127.0.0.1:1/v1",
        "COPILOT_MODEL": "bench",
    }
    own = ports("PORT", "TASK_DOOR_PORT", f"{name}_health") | {
        "NATS_URL": nats_url,
        "HOST": "127.0.0.1",
        "TASK_DOOR_URL": "http://127.0.0.1:1",
        "TASK_DOOR_SECRET": secrets.token_urlsafe(24),
        "TASK_STATE_DIR": str(folder / "tasks"),
        "CLONE_DIR": str(folder / "clones"),
        "GITLAB_WEBHOOK_SECRET": "bench-webhook-secret",
    }
    async with child([f"services.{name}"], folder, environment(name, settings, own)) as found:
        return await ready(found, int(own[f"{name}_health"]))


def _import_seconds(module: str) -> float:
    """A new interpreter that imports `module`, less one that imports nothing."""
    return _run("-c", f"import {module}")[0] - _run("-c", "pass")[0]


def _import_times(module: str) -> str:
    return _run("-X", "importtime", "-c", f"import {module}")[1]


def _run(*arguments: str) -> tuple[float, str]:
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - began, done.stderr.decode()


def dominators(report: str) -> tuple[tuple[str, float], ...]:
    """The packages that cost most, from the output of `-X importtime`: seconds by first import.

    A package's time is the sum of what each of its modules took itself, so that packages which
    import each other are not counted twice.
    """
    seconds: dict[str, float] = {}
    for own, name in re.findall(
        r"^import time: +(\d+) \| +\d+ \| +([\w.]+)$", report, re.MULTILINE
    ):
        package = name.split(".")[0]
        seconds[package] = seconds.get(package, 0.0) + int(own) / 1e6
    most = sorted(seconds.items(), key=lambda item: item[1], reverse=True)
    return tuple(most[:_MOST_DOMINATORS])
