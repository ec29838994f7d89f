"""What a failed story leaves behind for who looks into it: pods, events and logs in a folder."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests.cluster.kubectl import PART_OF, Kubectl

LOOKS = {
    "all.txt": ("get", "all,jobs,networkpolicies,pvc", "-o", "wide"),
    "events.txt": ("get", "events", "--sort-by=.lastTimestamp"),
    "pods.txt": ("describe", "pods"),
    "jobs.yaml": ("get", "jobs", "-o", "yaml"),
}


async def gather(kubectl: Kubectl, folder: Path) -> None:
    """Ask for everything; what is refused is written down as refused."""
    looks = dict(LOOKS)
    names = (await kubectl.attempt("get", "pods", "-o", "name")).out.split()
    for name in names:
        plain = name.rpartition("/")[2]
        looks[f"{plain}.log"] = ("logs", name, "--all-containers", "--prefix", "--tail=2000")
    labels = ("-l", PART_OF, "--all-containers", "--prefix", "--previous", "--tail=200")
    looks["earlier.log"] = ("logs", *labels, "--ignore-errors")
    gate = asyncio.Semaphore(4)

    async def write(file: str, look: tuple[str, ...]) -> None:
        async with gate:
            try:
                said = (await kubectl.attempt(*look, seconds=30)).said
            except AssertionError as error:
                said = str(error)
        (folder / file).write_text(said)

    await asyncio.gather(*(write(file, look) for file, look in looks.items()))


def place(base: Path, test: str) -> Path:
    """The folder of this test's failure, made when it is not there."""
    folder = base / re.sub(r"[^\w.-]+", "-", test)[-120:]
    folder.mkdir(parents=True, exist_ok=True)
    return folder
