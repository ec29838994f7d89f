"""What a service tells of its Jobs' pods: read from settings, turned into a manifest.

Made by `settings`, read by `manifest`. No secret is in here, only where each is found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

PART_OF = "gitlab-copilot-agent"
COMPONENT = "runner"
SOURCE_LABEL = "gca/source"
KIND_LABEL = "gca/kind"
TASK_LABEL = "gca/task-id"
"""Label, where the id fits into one, and annotation, which always holds it."""

JOB_LABEL = "batch.kubernetes.io/job-name"
"""Kubernetes' own label of a Job's pods."""

_CPU = re.compile(r"(\d+)m|(\d+)(?:\.(\d{1,3}))?")
_UNITS = {"Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(rf"([1-9]\d*)({'|'.join(_UNITS)})")


class SecretKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key of a Secret in the Jobs' namespace."""

    name: str
    key: str


class HostAlias(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the pod's /etc/hosts."""

    ip: str
    hostnames: tuple[str, ...]


class Toleration(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """As in a pod's `tolerations`."""

    key: str = ""
    operator: Literal["", "Exists", "Equal"] = ""
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    tolerationSeconds: int | None = None  # noqa: N815  the API's spelling


class PodSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Pods of one service's Jobs.

    `values` are plain settings by the names of `contract`; which step may see which is decided by
    `contract.STEP_SETTINGS`, as for `secrets`. `ca_configmap` has the key `ca.crt`.
    """

    source: str
    image: str
    pull_policy: str = "IfNotPresent"
    cpu: str = "1"
    memory: str = "1Gi"
    storage: str = "2Gi"
    ttl: int = 600
    secrets: Mapping[str, SecretKey] = msgspec.field(default_factory=dict)
    values: Mapping[str, str] = msgspec.field(default_factory=dict)
    ca_configmap: str = ""
    host_aliases: tuple[HostAlias, ...] = ()
    node_selector: Mapping[str, str] = msgspec.field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    extra_env: Mapping[str, str] = msgspec.field(default_factory=dict)
    pull_secrets: tuple[str, ...] = ()


def selector(source: str) -> str:
    """What finds the Jobs and pods of one service and no others."""
    return (
        f"app.kubernetes.io/part-of={PART_OF},app.kubernetes.io/component={COMPONENT},"
        f"{SOURCE_LABEL}={source}"
    )


def millicores(cpu: str) -> int:
    """Thousandths of a core; raises ValueError for what is no amount of processor time."""
    found = _CPU.fullmatch(cpu)
    if found is None:
        raise ValueError(cpu)
    if found[1]:
        return int(found[1])
    return int(found[2]) * 1000 + int((found[3] or "0").ljust(3, "0"))


def is_size(text: str) -> bool:
    """Whether it is an amount of memory or disk with a unit; without one it would be bytes."""
    return _SIZE.fullmatch(text) is not None


def octets(size: str) -> int | None:
    """Bytes of an amount of memory or disk; None for what is none with a unit."""
    found = _SIZE.fullmatch(size)
    return int(found[1]) * _UNITS[found[2]] if found else None
