"""The configuration files of the node's programs, as functions of addresses and paths.

`plan` writes what these return. All but containerd's are JSON, which is YAML.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from tests.cluster.machine.addresses import Addresses
from tests.cluster.machine.places import State

NODE_NAME = "gca-node"
PAUSE = "gca-cluster/pause:1"
COREDNS = "gca-cluster/coredns:1"
CONTAINERD = "/run/containerd/containerd.sock"
CGROUP = "gca-cluster"
PODS_PIDS = 512
RESOLVER = "nameserver 127.0.0.1\n"
"""Nobody answers there, so a pull of an image that was never imported fails at once."""
Manifest = dict[str, Any]


def kubelet(state: State, addresses: Addresses) -> Manifest:
    """Images are imported, never pulled from afar, so none is collected as garbage."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": addresses.node,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(state.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "clusterDNS": [addresses.dns],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "healthzBindAddress": "127.0.0.1",
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "5s",
        "podPidsLimit": PODS_PIDS,
        "readOnlyPort": 0,
        "resolvConf": "",
        "rotateCertificates": False,
        "serializeImagePulls": False,
        "syncFrequency": "10s",
        "tlsCertFile": str(state.pki / "server.crt"),
        "tlsPrivateKeyFile": str(state.pki / "server.key"),
        "volumeStatsAggPeriod": "10s",
    }


def kube_proxy(state: State, addresses: Addresses) -> Manifest:
    """Sizes of the connection table belong to the machine: 0 leaves them alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(state.kubeconfig)},
        "clusterCIDR": addresses.pods,
        "conntrack": {"maxPerCore": 0, "min": 0},
        "hostnameOverride": NODE_NAME,
        "mode": "iptables",
    }


def cni(addresses: Addresses) -> Manifest:
    """Pods on one bridge with its first address as their way out."""
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods0",
                "isGateway": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": addresses.pods}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def containerd(networks: Path, plugins: Path) -> str:
    """Its folders are those of the distribution, which the node sees as its own.

    No process is made less likely to be killed than it is: that takes CAP_SYS_RESOURCE, which
    root does not have on every machine.
    """
    return f"""version = 2
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs"]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{networks}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def kubeconfig(addresses: Addresses, authority: bytes, certificate: bytes, key: bytes) -> Manifest:
    """One administrator for everything: what is tested are the rights of the charts' accounts."""
    cluster = {"server": addresses.api, "certificate-authority-data": _encoded(authority)}
    user = {
        "client-certificate-data": _encoded(certificate),
        "client-key-data": _encoded(key),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "gca", "cluster": cluster}],
        "users": [{"name": "admin", "user": user}],
        "contexts": [{"name": "gca", "context": {"cluster": "gca", "user": "admin"}}],
        "current-context": "gca",
    }


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
