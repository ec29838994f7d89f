"""The Job that a task becomes: a pure function of the order and the settings.

Called by `launcher`; `tests/data/golden/jobs` shows what it makes. The rules are SR-16, SR-18 and
SR-21: `clone` alone sees the git token, `run` alone the model's key, neither has a service-account
token, a right it does not need, or a part of the disk that it could fill for others.

What is missing on purpose: a limit of processes. Kubernetes has none in a pod's spec; the kubelet's
`podPidsLimit` is it (docs/decisions/0027).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from libs.common.launching import contract
from libs.common.launching.contract import Contract
from libs.common.launching.kubernetes.pod import (
    COMPONENT,
    KIND_LABEL,
    PART_OF,
    SOURCE_LABEL,
    TASK_LABEL,
    PodSettings,
    millicores,
)
from libs.common.launching.protocol import Launch

WORK = "/work"
CA_FOLDER = "/etc/gca/ca"
USER = 10001
SLACK_SECONDS = 30
"""What the cluster waits past the runner's own deadline, so that the runner reports first."""
GRACE_SECONDS = 5
"""Between SIGTERM and SIGKILL, as for local Jobs."""
NODE_SECONDS = 60
"""How long a node may be silent before the Job's pod counts as lost and is made anew."""
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
Object = dict[str, Any]


def job_manifest(launch: Launch, pod: PodSettings, *, started_at: float) -> Object:
    """The Job of `launch`; both steps' deadline counts from `started_at`, seconds since 1970."""
    labels = _labels(launch, pod)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": launch.job_name,
            "labels": labels,
            "annotations": _annotations(launch),
        },
        "spec": {
            "activeDeadlineSeconds": launch.timeout + SLACK_SECONDS,
            "ttlSecondsAfterFinished": pod.ttl,
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": _failure_policy(),
            "template": {
                "metadata": {"labels": labels, "annotations": _annotations(launch)},
                "spec": _pod(launch, pod, started_at),
            },
        },
    }


def _labels(launch: Launch, pod: PodSettings) -> dict[str, str]:
    labels = {
        "app.kubernetes.io/name": f"gca-{COMPONENT}",
        "app.kubernetes.io/part-of": PART_OF,
        "app.kubernetes.io/component": COMPONENT,
        "app.kubernetes.io/managed-by": f"gca-{pod.source}",
        SOURCE_LABEL: pod.source,
        KIND_LABEL: launch.kind,
    }
    if _LABEL.fullmatch(launch.task_id):
        labels[TASK_LABEL] = launch.task_id
    return labels


def _annotations(launch: Launch) -> dict[str, str]:
    found = {
        TASK_LABEL: launch.task_id,
        # All events of the task, whatever its merge request or issue is.
        "gca/task-subject": f"task.*.*.*.{launch.task_id}",
        "gca/traceparent": launch.traceparent,
    }
    return {name: value for name, value in found.items() if value}


def _failure_policy() -> Object:
    """Only a pod that the cluster took away is made anew; what a step says is final."""
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
            {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0]}},
        ]
    }


def _pod(launch: Launch, pod: PodSettings, started_at: float) -> Object:
    clone, run = (_container(step, launch, pod, started_at) for step in get_args(contract.Step))
    spec: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [*_patience(), *(msgspec.to_builtins(one) for one in pod.tolerations)],
        "initContainers": [clone],
        "containers": [run],
        "volumes": _volumes(pod),
    }
    if pod.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pod.pull_secrets]
    if pod.host_aliases:
        spec["hostAliases"] = [msgspec.to_builtins(alias) for alias in pod.host_aliases]
    if pod.node_selector:
        spec["nodeSelector"] = dict(pod.node_selector)
    return _as_lists(spec)


def _patience() -> list[Object]:
    return [
        {
            "key": f"node.kubernetes.io/{what}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": NODE_SECONDS,
        }
        for what in ("not-ready", "unreachable")
    ]


def _volumes(pod: PodSettings) -> list[Object]:
    volumes: list[Object] = [
        {"name": name, "emptyDir": {"sizeLimit": pod.storage}} for name in ("work", "tmp")
    ]
    if pod.ca_configmap:
        volumes.append({"name": "ca", "configMap": {"name": pod.ca_configmap}})
    return volumes


def _container(step: contract.Step, launch: Launch, pod: PodSettings, started_at: float) -> Object:
    mounts: list[Object] = [
        {"name": "work", "mountPath": WORK},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  a volume of the pod's own
    ]
    if pod.ca_configmap:
        mounts.append({"name": "ca", "mountPath": CA_FOLDER, "readOnly": True})
    limits = {"cpu": pod.cpu, "memory": pod.memory, "ephemeral-storage": pod.storage}
    return {
        "name": step,
        "image": pod.image,
        "imagePullPolicy": pod.pull_policy,
        "command": ["python", "-m", "services.runner", step],
        "env": [*_plain(_told(step, launch, pod, started_at)), *_secret(step, pod)],
        "resources": {
            "limits": limits,
            # A session mostly waits for its model; memory and disk have to be there.
            "requests": {**limits, "cpu": f"{max(1, millicores(pod.cpu) // 4)}m"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
        },
        # The end of the log stays in the pod's status when the log itself cannot be read any more.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _told(
    step: contract.Step, launch: Launch, pod: PodSettings, started_at: float
) -> dict[str, str]:
    proxies = contract.PROXIES if step == "run" else ()
    allowed = (*contract.STEP_SETTINGS[step], *contract.BOTH_STEPS, *proxies)
    own = {name: pod.values[name] for name in allowed if pod.values.get(name)}
    extra = {
        name: value
        for name, value in pod.extra_env.items()
        if name in proxies or name not in contract.PROXIES
    }
    told = contract.to_environment(
        Contract(
            task_url=launch.task_url,
            task_token=launch.task_token,
            work_dir=Path(WORK),
            timeout=launch.timeout,
            started_at=started_at,
            traceparent=launch.traceparent,
            ca_bundle=f"{CA_FOLDER}/ca.crt" if pod.ca_configmap else "",
        )
    )
    wall = {contract.WALL: contract.POD_WALL} if step == "run" else {}
    return {**own, **extra, **told, **wall, "HOME": f"{WORK}/home"}


def _plain(values: Mapping[str, str]) -> list[Object]:
    # Kubernetes would fill in $(NAME); a doubled dollar is a dollar.
    return [{"name": name, "value": value.replace("$", "$$")} for name, value in values.items()]


def _secret(step: contract.Step, pod: PodSettings) -> list[Object]:
    return [
        {
            "name": name,
            "valueFrom": {
                "secretKeyRef": {"name": pod.secrets[name].name, "key": pod.secrets[name].key}
            },
        }
        for name in contract.STEP_SETTINGS[step]
        if name in pod.secrets
    ]


def _as_lists(spec: Object) -> Object:
    """The same with lists for tuples, as JSON has it."""
    copied: Object = msgspec.json.decode(msgspec.json.encode(spec))
    return copied
