"""Builds the images with docker, podman or buildah, whichever is here. Called by `make images`.

Standard library only, since it needs nothing set up; test clusters use it too. Its variables:
IMAGE_TAG and IMAGE_REGISTRY name the images, BASE and NODE replace the pinned base images,
BUILD_CA and BUILD_PIP_CONF are files for the build alone (a proxy's authorities, another index),
IMAGE_TARS is a folder to write each image to as a docker archive, IMAGE_OWNER owns the code.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "gitlab-copilot-agent"
SERVICES = ("ingest", "reviewer", "coder", "publisher", "runner", "ops")
FOR_TESTS = ("simulators", "nats")
"""Images for test clusters only; built when they are named."""
LOCKS: Mapping[str, str] = {"publisher": "ingest", "coder": "reviewer", "simulators": "ingest"}
"""Whose lock file another service installs: the packages are the same, and so is the layer."""
TOOLS: Mapping[str, tuple[str, ...]] = {
    "docker": ("docker", "buildx", "build", "--load"),
    "podman": ("podman", "build", "--layers"),
    "buildah": ("buildah", "build", "--layers"),
}


class CannotBuild(Exception):
    """No image was built; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """How images are named and built; empty texts leave the Dockerfile's own."""

    tool: str
    tag: str
    registry: str = ""
    base: str = ""
    node: str = ""
    revision: str = ""
    owner: str = ""
    ca: str = ""
    pip_conf: str = ""

    def name(self, service: str) -> str:
        prefix = f"{self.registry.rstrip('/')}/" if self.registry else ""
        return f"{prefix}{PROJECT}/{service}:{self.tag}"


def build_command(order: Order, service: str) -> list[str]:
    """The command that builds this service's image."""
    given = {
        "SERVICE": service,
        "LOCK": LOCKS.get(service, service),
        "VERSION": order.tag,
        "BASE": order.base,
        "NODE": order.node,
        "REVISION": order.revision,
        "OWNER": order.owner,
    }
    command = [*TOOLS[order.tool]]
    for name, value in given.items():
        command += ["--build-arg", f"{name}={value}"] if value else []
    for name, file in (("ca", order.ca), ("pip", order.pip_conf)):
        command += ["--secret", f"id={name},src={file}"] if file else []
    return [*command, "--tag", order.name(service), "."]


def save_command(order: Order, service: str, file: Path) -> list[str]:
    """The command that writes this service's image to a docker archive."""
    name = order.name(service)
    if order.tool == "buildah":
        return ["buildah", "push", "--quiet", name, f"docker-archive:{file}:{name}"]
    return [order.tool, "save", "--output", str(file), name]


def size_command(order: Order, service: str) -> list[str]:
    """The command that prints the image's bytes, or a line with its size."""
    if order.tool == "buildah":
        return ["buildah", "images", "--format", "{{.Size}}", order.name(service)]
    return [order.tool, "image", "inspect", "--format", "{{.Size}}", order.name(service)]


def found_tool() -> str:
    """The first builder that works here; a docker client may be there without its daemon."""
    for tool, probe in (("docker", "info"), ("podman", "info"), ("buildah", "version")):
        if not shutil.which(tool):
            continue
        if not subprocess.run([tool, probe], capture_output=True, check=False).returncode:  # noqa: S603  # the probes above
            return tool
    raise CannotBuild(
        "no docker, podman or buildah that works here; Debian and Ubuntu have packages "
        "podman and buildah"
    )


def order_of(environment: Mapping[str, str], tool: str) -> Order:
    """The order as variables give it; the tag is the project's version when none is set."""
    return Order(
        tool=tool,
        tag=environment.get("IMAGE_TAG") or version(),
        registry=environment.get("IMAGE_REGISTRY", ""),
        base=environment.get("BASE", ""),
        node=environment.get("NODE", ""),
        revision=environment.get("IMAGE_REVISION") or commit(),
        owner=environment.get("IMAGE_OWNER", ""),
        ca=environment.get("BUILD_CA", ""),
        pip_conf=environment.get("BUILD_PIP_CONF", ""),
    )


def version() -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    match = re.search(r'^version = "([^"]+)"', text, re.MULTILINE)
    if match is None:
        raise CannotBuild("pyproject.toml names no version; set IMAGE_TAG")
    return match[1]


def commit() -> str:
    """The commit that is built, empty outside of a repository."""
    command = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603  # own command
    return done.stdout.strip()


def build(order: Order, service: str, tars: Path | None = None) -> None:
    """Build one image, say its size, and write it to a file where a folder for those is given."""
    started = time.monotonic()
    _run(build_command(order, service), service)
    done = subprocess.run(size_command(order, service), capture_output=True, text=True, check=False)  # noqa: S603  # own command
    seconds = time.monotonic() - started
    size = readable(done.stdout.strip().splitlines()[0]) if done.stdout.strip() else "?"
    sys.stdout.write(f"{order.name(service):60} {size:>8}  {seconds:.0f} s\n")
    if tars is not None:
        tars.mkdir(parents=True, exist_ok=True)
        part = tars / f".{service}.tar"
        part.unlink(missing_ok=True)
        _run(save_command(order, service, part), service)
        part.replace(tars / f"{service}.tar")


def readable(size: str) -> str:
    """Bytes as megabytes; what is no number stays."""
    return f"{int(size) / 1_000_000:.0f} MB" if size.isdecimal() else size


def _run(command: Sequence[str], service: str) -> None:
    """Run quietly; its last lines are shown when it fails."""
    done = subprocess.run(  # noqa: S603  # commands of this file only
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        lines = "\n".join(line[:400] for line in done.stdout.strip().splitlines()[-20:])
        raise CannotBuild(f"{service}: `{' '.join(command[:3])}` failed:\n{lines}")


def main(names: Sequence[str]) -> int:
    """Build the named images, or all services'; 1 when one cannot be built."""
    tars = os.environ.get("IMAGE_TARS")
    try:
        if strangers := [name for name in names if name not in (*SERVICES, *FOR_TESTS)]:
            raise CannotBuild(f"no such image: {', '.join(strangers)}")
        order = order_of(os.environ, found_tool())
        for service in names or SERVICES:
            build(order, service, Path(tars) if tars else None)
    except CannotBuild as error:
        sys.stderr.write(f"images: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
