"""The addresses of a cluster."""

from __future__ import annotations

import ipaddress

import pytest

from tests.cluster.machine.addresses import Addresses
from tests.cluster.machine.certificates import names


def test_link_pods_and_services_share_one_network_and_no_address() -> None:
    addresses = Addresses("10.7.0.0/16")
    parts = [ipaddress.IPv4Network(each) for each in (addresses.pods, addresses.services)]
    link = ipaddress.IPv4Network(addresses.link)

    assert ["10.7.64.0/18", "10.7.128.0/18"] == [str(part) for part in parts]
    assert all(part.subnet_of(ipaddress.IPv4Network("10.7.0.0/16")) for part in [link, *parts])
    assert not any(link.overlaps(part) for part in parts)


def test_machine_and_node_are_neighbours_on_the_link() -> None:
    addresses = Addresses("10.7.0.0/16")

    assert ("10.7.0.1", "10.7.0.2") == (addresses.outside, addresses.node)
    assert "https://10.7.0.2:6443" == addresses.api


@pytest.mark.parametrize("network", ["10.7.0.0/24", "10.7.0.1/16", "nonsense"])
def test_a_network_that_is_no_slash_16_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match="GCA_CLUSTER_NETWORK must be a /16"):
        Addresses(network)


def test_the_server_answers_under_the_names_and_addresses_that_pods_and_tests_use() -> None:
    assert {
        "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default.svc.cluster.local",
        "IP:10.7.0.2",
        "IP:10.7.128.1",
        "IP:127.0.0.1",
    } <= set(names(Addresses("10.7.0.0/16")).split(","))
