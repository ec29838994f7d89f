"""All files of a cluster's state, written before anything runs. Used by `life`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster.machine import archives, certificates, cgroups, configuration
from tests.cluster.machine.addresses import Addresses
from tests.cluster.machine.places import State
from tests.cluster.machine.plan import Programs, plan


def write(state: State, addresses: Addresses, programs: Programs, plugins: Path) -> None:
    """Keys, configuration, images of its own, and the plan that the node carries out."""
    for folder in (state.held, state.logs, state.configuration, state.images, state.var_log):
        folder.mkdir(parents=True)
    for name in ("kubelet", "containerd", "cni"):
        (state.var_lib / name).mkdir(parents=True)
    state.programs.symlink_to(programs.built)
    certificates.write(state.pki, addresses)
    _kubeconfig(state, addresses)
    _configuration(state, addresses, plugins)
    for image in (configuration.PAUSE, configuration.COREDNS):
        name = image.rpartition("/")[2].partition(":")[0]
        archives.write(state.images / f"{name}.tar", image, programs.built / name)
    _json(state.plan, plan(state, addresses, programs, cgroups.make()))


def _kubeconfig(state: State, addresses: Addresses) -> None:
    keys = [(state.pki / name).read_bytes() for name in ("ca.crt", "admin.crt", "admin.key")]
    state.kubeconfig.touch(mode=0o600)
    _json(state.kubeconfig, configuration.kubeconfig(addresses, *keys))


def _configuration(state: State, addresses: Addresses, plugins: Path) -> None:
    networks = state.configuration / "cni"
    networks.mkdir()
    _json(networks / "10-pods.conflist", configuration.cni(addresses))
    _json(state.configuration / "kubelet.json", configuration.kubelet(state, addresses))
    _json(state.configuration / "kube-proxy.json", configuration.kube_proxy(state, addresses))
    state.resolver.write_text(configuration.RESOLVER)
    (state.configuration / "containerd.toml").write_text(
        configuration.containerd(networks, plugins)
    )


def _json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n")
