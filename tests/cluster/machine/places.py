"""Where the cluster's programs and its state lie. Used by everything here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parent / "tools"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CLUSTER = CACHE / "gitlab-copilot-agent" / "cluster"


def versions(modules: Path = MODULES) -> str:
    """A name for what all modules pin: another version is another folder of programs."""
    return _digest(f"{module.name} {pins(module)}" for module in sorted(modules.iterdir()))


def pins(module: Path) -> str:
    """A name for what one module pins, so that a program is built anew only when it changes."""
    files = sorted(
        file
        for file in module.rglob("*")
        if file.name in {"go.mod", "go.sum"} or file.suffix == ".go"
    )
    return _digest(f"{file.relative_to(module)} {file.read_text()}" for file in files)


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def programs() -> Path:
    return CLUSTER / versions() / "bin"


@dataclass(frozen=True)
class State:
    """Everything that one cluster writes; `down` removes the folder."""

    root: Path = CLUSTER / "state"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def node(self) -> Path:
        """Process id of the node's first process, and when that started."""
        return self.root / "node.pid"

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    @property
    def programs(self) -> Path:
        """A link to the programs that this cluster was started with."""
        return self.root / "bin"

    @property
    def loaded(self) -> Path:
        """Which archives of images the node has."""
        return self.root / "loaded.json"

    @property
    def held(self) -> Path:
        """A file here per component that is not to run just now."""
        return self.root / "held"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def configuration(self) -> Path:
        return self.root / "configuration"

    @property
    def resolver(self) -> Path:
        """What the node sees as /etc/resolv.conf."""
        return self.configuration / "resolv.conf"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def var_lib(self) -> Path:
        """What the node sees as /var/lib: kubelet's, containerd's and CNI's data."""
        return self.root / "var-lib"

    @property
    def var_log(self) -> Path:
        """What the node sees as /var/log: the pods' logs."""
        return self.root / "var-log"

    @property
    def images(self) -> Path:
        return self.root / "images"
