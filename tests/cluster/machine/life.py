"""The life of a cluster: up, loaded with images, looked at, down. Called by `__main__`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.machine import (
    archives,
    building,
    certificates,
    cgroups,
    configuration,
    names,
    needs,
    node_process,
)
from tests.cluster.machine.addresses import Addresses
from tests.cluster.machine.node_process import NodeProcess
from tests.cluster.machine.places import State
from tests.cluster.machine.plan import Programs, plan

WANTED = (
    *("pause", "kubelet", *building.KUBERNETES, "kubectl"),
    *("etcd", "coredns", "kube-router", "helm"),
)
PATIENCE_SECONDS = 180.0


def up(state: State, addresses: Addresses) -> None:
    """A cluster with a ready node and names; at once when it is there already."""
    if NodeProcess.of(state):
        return
    plugins = needs.check()
    built = building.build(WANTED)
    down(state)
    write(state, addresses, Programs(built, shutil.which("containerd") or "containerd"), plugins)
    node = node_process.start(state)
    try:
        node_process.plug_in(node, addresses)
        _until("the API server answers", lambda: _kubectl(state, "get", "--raw=/readyz"))
        apply(state, names.manifests(addresses))
        _until(
            "containerd answers",
            lambda: subprocess.run(
                node.ctr("version"), capture_output=True, check=False, text=True
            ),
        )
        load(state, sorted(state.images.glob("*.tar")))
        ready = ("wait", "--for=condition=Ready", "node", configuration.NODE_NAME, "--timeout=2s")
        _until("the node is ready", lambda: _kubectl(state, *ready))
        available = (
            "rollout",
            "status",
            "-n",
            names.NAMESPACE,
            "deployment/coredns",
            "--timeout=2s",
        )
        _until("names are answered", lambda: _kubectl(state, *available))
    except BaseException:
        sys.stderr.write(f"the cluster did not come up; its logs are in {state.logs}\n")
        raise


def write(state: State, addresses: Addresses, programs: Programs, plugins: Path) -> None:
    """All files of the state, before anything runs."""
    for folder in (state.held, state.logs, state.configuration, state.images, state.var_log):
        folder.mkdir(parents=True)
    for folder in ("kubelet", "containerd", "cni"):
        (state.var_lib / folder).mkdir(parents=True)
    certificates.write(state.pki, addresses)
    networks = state.configuration / "cni"
    networks.mkdir()
    _json(networks / "10-pods.conflist", configuration.cni(addresses))
    _json(state.configuration / "kubelet.json", configuration.kubelet(state, addresses))
    _json(state.configuration / "kube-proxy.json", configuration.kube_proxy(state, addresses))
    (state.configuration / "containerd.toml").write_text(
        configuration.containerd(networks, plugins)
    )
    keys = [(state.pki / name).read_bytes() for name in ("ca.crt", "admin.crt", "admin.key")]
    state.kubeconfig.touch(mode=0o600)
    _json(state.kubeconfig, configuration.kubeconfig(addresses, *keys))
    archives.write(state.images / "pause.tar", configuration.PAUSE, programs.built / "pause")
    archives.write(state.images / "coredns.tar", configuration.COREDNS, programs.built / "coredns")
    _json(state.plan, plan(state, addresses, programs, cgroups.make()))


def down(state: State) -> None:
    """End it and remove every trace; a half-started one, too."""
    if node := NodeProcess.of(state):
        node.end()
    if shutil.which("ip"):
        node_process.unplug()
    cgroups.remove()
    if state.root.exists():
        shutil.rmtree(state.root)


def load(state: State, images: list[Path]) -> list[str]:
    """Import archives (OCI or docker) into the node; returns the names pods may use."""
    node = NodeProcess.of(state)
    if node is None:
        raise needs.Lacking("no cluster runs here: `make cluster` starts one")
    loaded = []
    for image in images:
        with image.open("rb") as archive:
            done = subprocess.run(
                node.ctr("images", "import", "-"),
                stdin=archive,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"{image} could not be imported: {done.stderr.strip()[-500:]}")
        loaded += [
            line.split()[1] for line in done.stdout.splitlines() if line.startswith("unpacking")
        ]
    return loaded


def apply(state: State, manifest: configuration.Manifest) -> None:
    done = _kubectl(state, "apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))
    if done.returncode:
        raise RuntimeError(f"kubectl apply: {done.stderr.strip()[-1000:]}")


def _kubectl(
    state: State, *arguments: str, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    kubectl = str(building.programs() / "kubectl")
    return subprocess.run(
        [kubectl, f"--kubeconfig={state.kubeconfig}", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def _until(what: str, attempt: Callable[[], subprocess.CompletedProcess[str]]) -> None:
    """Ask until it succeeds, for at most three minutes."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (done := attempt()).returncode:
        if time.monotonic() > until:
            raise RuntimeError(f"waited in vain until {what}: {done.stderr.strip()[-1000:]}")
        time.sleep(0.2)


def _json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n")
