"""What the machine itself must bring: root and packages of its distribution. Used by `life`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "openssl": "openssl",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
PLUGINS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
PLUGINS_PACKAGE = "containernetworking-plugins"


class Lacking(Exception):
    """The cluster cannot start here; the text says what to do."""


def plugins() -> Path | None:
    """The folder with the CNI plugins of the distribution."""
    return next((folder for folder in PLUGINS if (folder / "bridge").exists()), None)


def missing_packages() -> list[str]:
    names = {package for program, package in PACKAGES.items() if shutil.which(program) is None}
    if plugins() is None:
        names.add(PLUGINS_PACKAGE)
    return sorted(names)


def check() -> Path:
    """The folder of the CNI plugins; installs what is missing where apt-get is there."""
    if os.geteuid() != 0:
        raise Lacking(
            "the cluster's node needs root (namespaces, mounts, control groups); as another user "
            "set KUBECONFIG to a cluster that is there (kind, k3d)"
        )
    if missing := missing_packages():
        _install(missing)
    folder = plugins()
    if folder is None or (missing := missing_packages()):
        raise Lacking(f"still missing after installation: {' '.join(missing) or PLUGINS_PACKAGE}")
    return folder


def _install(packages: list[str]) -> None:
    if shutil.which("apt-get") is None:
        raise Lacking(f"please install {' '.join(packages)} (Debian's names)")
    sys.stderr.write(f"apt-get install {' '.join(packages)}\n")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise Lacking(f"please run: apt-get update && apt-get install {' '.join(packages)}")
