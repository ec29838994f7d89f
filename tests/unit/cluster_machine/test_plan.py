"""What runs in the node, and how it is configured."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from tests.cluster.machine import configuration, names
from tests.cluster.machine.addresses import Addresses
from tests.cluster.machine.places import State
from tests.cluster.machine.plan import Programs, plan, processes

STATE = State(Path("/state"))
ADDRESSES = Addresses("10.7.0.0/16")
PROGRAMS = Programs(Path("/built"), "/usr/bin/containerd")


def flags(name: str) -> dict[str, str]:
    command = processes(STATE, ADDRESSES, PROGRAMS)[name]
    return dict(flag.removeprefix("--").split("=", 1) for flag in command if "=" in flag)


def test_pods_reach_the_api_server_by_an_address_that_is_no_loopback() -> None:
    assert "10.7.0.2" == flags("kube-apiserver")["advertise-address"]


def test_everything_that_gives_out_service_addresses_knows_the_same_range() -> None:
    assert "10.7.128.0/18" == flags("kube-apiserver")["service-cluster-ip-range"]
    assert "10.7.128.0/18" == flags("kube-router")["service-cluster-ip-range"]


def test_nothing_but_the_api_server_and_the_kubelet_listens_beyond_loopback() -> None:
    bound = [
        flags(name).get("bind-address") for name in ("kube-scheduler", "kube-controller-manager")
    ]

    assert ["127.0.0.1", "127.0.0.1"] == bound
    assert "http://127.0.0.1:2379" == flags("etcd")["listen-client-urls"]
    assert 0 == configuration.kubelet(STATE, ADDRESSES)["readOnlyPort"]


@pytest.mark.parametrize("name", ["kube-apiserver", "kubelet"])
def test_nobody_without_a_name_is_let_in(name: str) -> None:
    if name == "kubelet":
        authentication = configuration.kubelet(STATE, ADDRESSES)["authentication"]
        assert {"enabled": False} == authentication["anonymous"]
    else:
        assert ("false", "Node,RBAC") == (
            flags(name)["anonymous-auth"],
            flags(name)["authorization-mode"],
        )


def test_the_kubelet_takes_cgroup_version_1_limits_processes_and_keeps_imported_images() -> None:
    kubelet = configuration.kubelet(STATE, ADDRESSES)

    assert (False, "cgroupfs") == (kubelet["failCgroupV1"], kubelet["cgroupDriver"])
    assert 512 == kubelet["podPidsLimit"]
    assert 100 == kubelet["imageGCHighThresholdPercent"]


def test_everything_written_lies_in_the_folder_of_the_state() -> None:
    written = plan(STATE, ADDRESSES, PROGRAMS, [])
    flat = " ".join(part for command in written["processes"].values() for part in command)

    assert all(source.startswith("/state/") for source in written["mounts"])
    assert {"/var/lib", "/var/log", "/etc/resolv.conf"} == set(written["mounts"].values())
    assert set() == {
        path for path in re.findall(r"=(/[^\s]+)", flat) if not path.startswith("/state/")
    }


def test_the_kubeconfig_holds_its_keys_so_that_a_copy_works_anywhere() -> None:
    config = configuration.kubeconfig(ADDRESSES, b"authority", b"certificate", b"key")

    assert "https://10.7.0.2:6443" == config["clusters"][0]["cluster"]["server"]
    assert b"key" == base64.b64decode(config["users"][0]["user"]["client-key-data"])


def test_pods_ask_coredns_by_the_address_that_the_kubelet_tells_them() -> None:
    items = names.manifests(ADDRESSES)["items"]
    service = next(item for item in items if item["kind"] == "Service")

    assert configuration.kubelet(STATE, ADDRESSES)["clusterDNS"] == [service["spec"]["clusterIP"]]
    assert names.LABELS == service["spec"]["selector"]


def test_containerd_holds_pods_by_the_image_that_is_imported() -> None:
    text = configuration.containerd(Path("/state/cni"), Path("/usr/lib/cni"))

    assert f'sandbox_image = "docker.io/{configuration.PAUSE}"' in text
