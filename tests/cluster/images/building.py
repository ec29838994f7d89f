"""Builds what changed, into archives that a cluster's node imports. Called by `__main__`.

An archive is made again when its inputs differ from those it was made of: the Dockerfile, the lock
file, the code of that service, the bases.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from services.ops import images
from tests.cluster.images import bases
from tests.cluster.machine.places import CLUSTER

TAG = "test"
ALL = (*images.SERVICES, *images.FOR_TESTS)
TARS = CLUSTER / "images"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def archive(service: str) -> Path:
    """Where the image of this service is, named gitlab-copilot-agent/<service>:test."""
    return TARS / f"{service}.tar"


def ready(names: Sequence[str] = ALL) -> list[Path]:
    """The archives of these images, built as far as something changed; raises `CannotBuild`."""
    with _alone():
        order = _order()
        for service in names:
            digest = inputs(images.ROOT, service, (order.base, order.node))
            mark = TARS / f"{service}.inputs"
            if archive(service).exists() and mark.exists() and mark.read_text() == digest:
                continue
            mark.unlink(missing_ok=True)
            images.build(order, service, TARS)
            mark.write_text(digest)
    return [archive(service) for service in names]


def inputs(root: Path, service: str, bases_used: Sequence[str]) -> str:
    """A name for all that goes into this service's image."""
    whole = hashlib.sha256("\0".join((service, *bases_used)).encode())
    for file in files(root, service):
        whole.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() + b"\0")
    return whole.hexdigest()


def files(root: Path, service: str) -> list[Path]:
    """The files of the repository that this service's image is made of."""
    lock = "ops" if service == "nats" else images.LOCKS.get(service, service)
    folders = {
        "nats": [],
        "simulators": [root / "libs", root / "tests" / "simulators"],
        "ops": [root / "libs", root / "services"],
    }.get(service, [root / "libs", root / "services" / service])
    found = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return [root / "Dockerfile", root / ".dockerignore", root / f"requirements/{lock}.txt", *found]


def _order() -> images.Order:
    """As `make images`, but with bases of this machine where the operator names none."""
    tool = images.found_tool()
    order = replace(images.order_of(os.environ, tool), tag=TAG, revision="")
    if tool == "buildah":
        # No runtime or user namespaces are asked for, so it works within a container too.
        os.environ.setdefault("BUILDAH_ISOLATION", "chroot")
        if not order.base:
            order = replace(order, base=bases.base(), node=bases.node())
    if not order.ca and AUTHORITIES.exists():
        order = replace(order, ca=str(AUTHORITIES))
    return order


@contextmanager
def _alone() -> Iterator[None]:
    """One builder at a time: two would wait for the same layers and write the same files."""
    TARS.mkdir(parents=True, exist_ok=True)
    with (TARS / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.stderr.write("images: waiting for another build\n")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
