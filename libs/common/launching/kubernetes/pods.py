"""Which pods a Job has and had: their last word outlives them for as long as the Job is there.

Used by `launcher`, told by the watch of pods.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from libs.common.clock import Clock

Object = dict[str, Any]


class Pods(msgspec.Struct, frozen=True, kw_only=True):
    """Of one Job, the oldest first; `gone` are as they were last seen."""

    here: tuple[Object, ...] = ()
    gone: tuple[Object, ...] = ()
    none_since: datetime | None = None
    """Since when it has none, after it had one."""


class PodsOfJobs:
    """By the Job's uid."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._here: dict[str, dict[str, Object]] = {}
        self._gone: dict[str, dict[str, tuple[Object, datetime]]] = {}

    def of(self, job_uid: str) -> Pods:
        gone = self._gone.get(job_uid, {}).values()
        return Pods(
            here=tuple(sorted(self._here.get(job_uid, {}).values(), key=_age)),
            gone=tuple(sorted((pod for pod, _ in gone), key=_age)),
            none_since=max((at for _, at in gone), default=None),
        )

    def changed(self, pod: Object) -> None:
        self._here.setdefault(owner(pod), {})[pod["metadata"]["uid"]] = pod

    def went(self, pod: Object) -> None:
        job, uid = owner(pod), pod["metadata"]["uid"]
        last = self._here.get(job, {}).pop(uid, pod)
        self._gone.setdefault(job, {})[uid] = (last, self._clock.now())

    def forget_but(self, job_uids: Mapping[str, object]) -> None:
        """Keep only pods of these Jobs, and those that are there."""
        self._gone = {uid: pods for uid, pods in self._gone.items() if uid in job_uids}
        self._here = {uid: pods for uid, pods in self._here.items() if pods or uid in job_uids}


def owner(pod: Object) -> str:
    """The uid of the pod's Job; empty when it has none."""
    for reference in pod["metadata"].get("ownerReferences") or ():
        if reference.get("kind") == "Job":
            return str(reference["uid"])
    return ""


def _age(pod: Object) -> tuple[str, str]:
    meta = pod["metadata"]
    return str(meta.get("creationTimestamp", "")), str(meta.get("name", ""))
