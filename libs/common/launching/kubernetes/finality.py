"""Whether another launch would end as this one did, so that the person is told at once. Pure.

Called by `launcher` for a Job that ended. As long as the setting is what it was: an operator who
raised the limit or mended the image meanwhile gets the launches that the task still has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from libs.common.launching.kubernetes.pod import PodSettings, octets
from libs.common.launching.kubernetes.pods import Pods
from libs.common.launching.kubernetes.reasons import Waiting, end_of, failed_step, waiting_of

Object = dict[str, Any]


def ends_the_same(job: Object, pods: Pods, settings: PodSettings) -> bool:
    """Out of memory, no such image, no such Secret: nothing that a repeat would mend."""
    for pod in reversed((*pods.gone, *pods.here)):
        if end_of(pod) is not None:
            return _out_of_memory(pod) and _memory(job) == {octets(settings.memory)}
        waiting = waiting_of(pod)
        if waiting is not None:
            return _waits_in_vain(waiting, job, settings)
    return False


def _out_of_memory(pod: Object) -> bool:
    step, status = failed_step(pod), pod.get("status", {})
    return any(
        each.get("name") == step
        and ((each.get("state") or {}).get("terminated") or {}).get("reason") == "OOMKilled"
        for group in ("initContainerStatuses", "containerStatuses")
        for each in status.get(group) or ()
    )


def _waits_in_vain(waiting: Waiting, job: Object, settings: PodSettings) -> bool:
    if waiting.reason.startswith("K8S_JOB_IMAGE"):
        return {step.get("image") for step in _steps(job)} == {settings.image}
    if waiting.reason.endswith("K8S_JOB_SECRETS"):
        return _secrets(job) <= {(key.name, key.key) for key in settings.secrets.values()}
    return False


def _memory(job: Object) -> set[int | None]:
    # The API writes amounts its own way: 1024Mi comes back as 1Gi.
    limits = ((step.get("resources") or {}).get("limits") or {} for step in _steps(job))
    return {octets(str(limit.get("memory", ""))) for limit in limits}


def _secrets(job: Object) -> set[tuple[str, str]]:
    references = (
        (variable.get("valueFrom") or {}).get("secretKeyRef")
        for step in _steps(job)
        for variable in step.get("env") or ()
    )
    return {(found["name"], found["key"]) for found in references if found}


def _steps(job: Object) -> Iterator[Object]:
    # As we made it: the pod's own may have been changed by the cluster's webhooks.
    spec = job.get("spec", {}).get("template", {}).get("spec", {})
    for group in ("initContainers", "containers"):
        yield from spec.get(group) or ()
