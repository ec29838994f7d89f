"""The addresses of a cluster, all from one /16. Used by most modules here."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from dataclasses import dataclass, field

SETTING = "GCA_CLUSTER_NETWORK"
DEFAULT_NETWORK = "10.218.0.0/16"
API_PORT = 6443


@dataclass(frozen=True)
class Addresses:
    """The node's link, the pods and the services share one private network.

    The machine that runs the tests is `outside`: it routes pods and services through the node,
    so tests reach them as a neighbour in the same data centre would.
    """

    network: str = field(default_factory=lambda: os.environ.get(SETTING, DEFAULT_NETWORK))

    def __post_init__(self) -> None:
        with contextlib.suppress(ValueError):
            if ipaddress.IPv4Network(self.network).prefixlen == 16:
                return
        raise ValueError(f"{SETTING} must be a /16 such as {DEFAULT_NETWORK}: {self.network}")

    @property
    def link(self) -> str:
        """Between the machine and the node."""
        return str(self._part(0))

    @property
    def outside(self) -> str:
        return str(self._part(0)[1])

    @property
    def node(self) -> str:
        return str(self._part(0)[2])

    @property
    def pods(self) -> str:
        return str(self._quarter(1))

    @property
    def services(self) -> str:
        return str(self._quarter(2))

    @property
    def kubernetes(self) -> str:
        """The service `kubernetes`: the API server takes the first address."""
        return str(self._quarter(2)[1])

    @property
    def dns(self) -> str:
        return str(self._quarter(2)[10])

    @property
    def api(self) -> str:
        return f"https://{self.node}:{API_PORT}"

    def _part(self, number: int) -> ipaddress.IPv4Network:
        return list(ipaddress.IPv4Network(self.network).subnets(new_prefix=24))[number]

    def _quarter(self, number: int) -> ipaddress.IPv4Network:
        return list(ipaddress.IPv4Network(self.network).subnets(new_prefix=18))[number]
