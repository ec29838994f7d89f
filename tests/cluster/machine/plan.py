"""The node's processes and their command lines, as functions of addresses and paths.

`up` writes the plan; `node`, the first process of the node, carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.machine.addresses import API_PORT, Addresses
from tests.cluster.machine.configuration import NODE_NAME
from tests.cluster.machine.places import State

ETCD = "127.0.0.1:2379"


@dataclass(frozen=True)
class Programs:
    """`built` has what Go modules gave; `distribution` finds the rest in PATH."""

    built: Path
    containerd: str


def plan(
    state: State, addresses: Addresses, programs: Programs, cgroups: list[Path]
) -> dict[str, Any]:
    """What `node` needs to know, ready to be written as JSON."""
    return {
        "cgroups": [str(folder) for folder in cgroups],
        "addresses": {"node": f"{addresses.node}/24", "outside": addresses.outside},
        "held": str(state.held),
        "logs": str(state.logs),
        "mounts": mounts(state),
        "record": str(state.node),
        "processes": processes(state, addresses, programs),
    }


def mounts(state: State) -> dict[str, str]:
    """What the node sees in the place of the machine's own, where programs leave no choice."""
    return {
        str(state.var_lib): "/var/lib",
        str(state.var_log): "/var/log",
        str(state.resolver): "/etc/resolv.conf",
    }


def processes(state: State, addresses: Addresses, programs: Programs) -> dict[str, list[str]]:
    """By name, in the order in which they start; each waits by itself for what it needs."""
    built = programs.built
    settings = state.configuration
    return {
        "etcd": etcd(state, built),
        "containerd": [programs.containerd, f"--config={settings / 'containerd.toml'}"],
        "kube-apiserver": api_server(state, addresses, built),
        "kube-controller-manager": controller_manager(state, addresses, built),
        "kube-scheduler": [
            str(built / "kube-scheduler"),
            f"--kubeconfig={state.kubeconfig}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ],
        "kubelet": [
            str(built / "kubelet"),
            f"--config={settings / 'kubelet.json'}",
            f"--kubeconfig={state.kubeconfig}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={addresses.node}",
        ],
        "kube-proxy": [str(built / "kube-proxy"), f"--config={settings / 'kube-proxy.json'}"],
        "kube-router": policies(state, addresses, built),
    }


def etcd(state: State, built: Path) -> list[str]:
    """Without waiting for the disk: what a test cluster holds may be lost with the machine."""
    return [
        str(built / "etcd"),
        f"--data-dir={state.etcd}",
        f"--listen-client-urls=http://{ETCD}",
        f"--advertise-client-urls=http://{ETCD}",
        "--listen-peer-urls=http://127.0.0.1:0",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server(state: State, addresses: Addresses, built: Path) -> list[str]:
    pki = state.pki
    return [
        str(built / "kube-apiserver"),
        f"--advertise-address={addresses.node}",
        f"--bind-address={addresses.node}",
        f"--secure-port={API_PORT}",
        f"--etcd-servers=http://{ETCD}",
        f"--service-cluster-ip-range={addresses.services}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--anonymous-auth=false",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'server.crt'}",
        f"--tls-private-key-file={pki / 'server.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'admin.crt'}",
        f"--kubelet-client-key={pki / 'admin.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'accounts.key'}",
        f"--service-account-signing-key-file={pki / 'accounts.key'}",
    ]


def controller_manager(state: State, addresses: Addresses, built: Path) -> list[str]:
    """A node that says nothing for 20 s is gone, so that tests of that take seconds."""
    return [
        str(built / "kube-controller-manager"),
        f"--kubeconfig={state.kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        f"--cluster-cidr={addresses.pods}",
        f"--root-ca-file={state.pki / 'ca.crt'}",
        f"--service-account-private-key-file={state.pki / 'accounts.key'}",
        "--use-service-account-credentials=true",
        "--node-monitor-grace-period=20s",
    ]


def policies(state: State, addresses: Addresses, built: Path) -> list[str]:
    """kube-router's firewall alone: it enforces NetworkPolicies and nothing else."""
    return [
        str(built / "kube-router"),
        f"--kubeconfig={state.kubeconfig}",
        f"--hostname-override={NODE_NAME}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        f"--service-cluster-ip-range={addresses.services}",
        "--iptables-sync-period=1m",
        "--health-port=0",
    ]
