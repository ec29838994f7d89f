"""Why a Job ended, or cannot begin, in a sentence that names the setting that helps. Pure.

Called by `launcher` with the Job and its pods as the API has them. What waits for its image, its
Secrets or a node is left to Kubernetes for a while (`K8S_JOB_START_TIMEOUT`), then it counts as
ended, so that the reconciler starts it anew or gives up with these words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, get_args

import msgspec

from libs.common.errors import cut
from libs.common.launching import contract, exits
from libs.common.launching.contract import ExitCode
from libs.common.launching.kubernetes.pods import Pods
from libs.common.launching.protocol import Phase

Object = Mapping[str, Any]

LOST_GRACE = timedelta(seconds=30)
"""How long past its time a pod may take to end before its node counts as lost."""
SOON = timedelta(seconds=10)
"""What takes no longer is no trouble."""
_NO_IMAGE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_FINISHED = frozenset({"Complete", "Failed"})
_OOM = "OOMKilled"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How a Job stands. `waits_for` says what a running one cannot begin without.

    `unsure`: it failed, and its pod has not said yet why.
    """

    phase: Phase
    reason: str = ""
    exit_code: int | None = None
    waits_for: str = ""
    unsure: bool = False


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Why a pod does not begin; `at_once` when waiting cannot help."""

    reason: str
    at_once: bool = False


def judge(job: Object, pods: Pods, *, now: datetime, patience: timedelta) -> Verdict:
    """Where `job` stands; `patience` is how long it may wait for what it needs to begin."""
    ended = _finished(job)
    if ended is not None and ended["type"] == "Complete":
        return _exited(exits.in_words("run", ExitCode.DONE), ExitCode.DONE)
    if ended is not None:
        return _failed(job, ended, (*pods.gone, *pods.here))
    lost = next((pod for pod in pods.here if _is_lost(pod, now)), None)
    if lost is not None:
        node = lost.get("spec", {}).get("nodeName", "")
        return _exited(f"its pod is lost: node {node} does not answer any more", None)
    since, waiting = _waiting(job, pods)
    waited = now - since if since is not None else timedelta()
    if waiting is None or (waited < SOON and not waiting.at_once):
        return Verdict(phase="running")
    if waiting.at_once or waited >= patience:
        return _exited(f"did not start: {waiting.reason}", None)
    return Verdict(phase="running", waits_for=waiting.reason)


def _exited(reason: str, code: int | None) -> Verdict:
    return Verdict(phase="exited", reason=cut(reason), exit_code=code)


def _failed(job: Object, ended: Object, pods: Sequence[Object]) -> Verdict:
    if ended.get("reason") == "DeadlineExceeded":
        return _past_deadline(job, pods)
    for pod in reversed(pods):
        found = end_of(pod)
        if found is not None:
            return found
    said = ": ".join(str(ended[key]) for key in ("reason", "message") if ended.get(key))
    return Verdict(
        phase="exited", reason=cut(f"its pod is gone without a word: {said}"), unsure=True
    )


def _past_deadline(job: Object, pods: Sequence[Object]) -> Verdict:
    seconds = job.get("spec", {}).get("activeDeadlineSeconds", "?")
    reason = f"was ended at the deadline of {seconds} seconds (K8S_JOB_TIMEOUT)"
    waiting = waiting_of(pods[-1]) if pods else _NO_POD
    if waiting is None and pods and _is_being_made(pods[-1]):
        waiting = _BEING_MADE
    if waiting is not None:
        reason = f"{reason} before it started: {waiting.reason}"
    return _exited(reason, exits.DEADLINE)


def end_of(pod: Object) -> Verdict | None:
    """How a pod ended; None when it has not failed."""
    status = pod.get("status", {})
    if status.get("reason") == "Evicted":
        return _exited(_evicted(str(status.get("message", ""))), None)
    for step, state in _states(pod):
        terminated = state.get("terminated")
        if terminated and terminated.get("exitCode") != 0:
            disrupted = _disruption(pod)
            if disrupted and terminated["exitCode"] > 128:
                return _exited(f"{step} was ended by the cluster: {disrupted}", None)
            return _terminated(step, terminated, pod)
    if status.get("phase") != "Failed":
        return None
    said = ": ".join(str(status[key]) for key in ("reason", "message") if status.get(key))
    return _exited(f"its pod failed: {_disruption(pod) or said or 'no reason given'}", None)


def _terminated(step: str, state: Object, pod: Object) -> Verdict:
    code, said = state["exitCode"], _said(state.get("message", ""))
    if state.get("reason") == _OOM:
        limit = _limit(pod, step, "memory")
        return _exited(
            f"{step} was killed because it needed more than {limit} of memory; "
            "raise K8S_JOB_MEMORY_LIMIT",
            code,
        )
    if state.get("reason") in {"StartError", "ContainerCannotRun"}:
        return _exited(f"{step} could not be started from K8S_JOB_IMAGE: {said}", None)
    killed = code > 128 and code != ExitCode.STOPPED
    return _exited(exits.in_words(step, 128 - code if killed else code), code)


def _evicted(said: str) -> str:
    low = said.lower()
    if "exceeds" in low and ("emptydir" in low or "ephemeral" in low):
        return (
            f"was ended because it used more disk than it may: {_said(said)}; "
            "raise K8S_JOB_STORAGE_LIMIT"
        )
    return f"was evicted from its node: {_said(said) or 'no reason given'}"


def _waiting(job: Object, pods: Pods) -> tuple[datetime | None, Waiting | None]:
    """Since when, and why, the Job does not begin."""
    made = _moment(job["metadata"].get("creationTimestamp"))
    if not pods.here:
        return max(filter(None, (made, pods.none_since)), default=None), _NO_POD
    newest = pods.here[-1]
    return _moment(newest["metadata"].get("creationTimestamp")), waiting_of(newest)


def failed_step(pod: Object) -> str | None:
    """The step that ended a pod by its exit code."""
    for step, state in _states(pod):
        if (state.get("terminated") or {}).get("exitCode"):
            return step
    return None


def waiting_of(pod: Object) -> Waiting | None:
    """What a pod waits for that may never come; None when it runs or is being made."""
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            said = _said(condition.get("message", ""))
            if condition.get("reason") in {"Unschedulable", "SchedulerError"}:
                return Waiting(
                    reason=f"no node takes its pod: {said}; see K8S_JOB_CPU_LIMIT, "
                    "K8S_JOB_MEMORY_LIMIT, K8S_JOB_NODE_SELECTOR and K8S_JOB_TOLERATIONS"
                )
    for step, state in _states(pod):
        waiting = state.get("waiting") or {}
        why, said = waiting.get("reason", ""), _said(waiting.get("message", ""))
        if why == "InvalidImageName":
            return Waiting(reason=f"K8S_JOB_IMAGE is no name of an image: {said}", at_once=True)
        if why in _NO_IMAGE:
            return Waiting(reason=f"K8S_JOB_IMAGE cannot be pulled ({why}): {said}")
        if why == "CreateContainerConfigError":
            return Waiting(reason=f"{step} cannot be set up: {said}; see K8S_JOB_SECRETS")
        if why in {"CreateContainerError", "RunContainerError", "CrashLoopBackOff"}:
            return Waiting(reason=f"{step} cannot be started ({why}): {said}")
    return None


_NO_POD = Waiting(
    reason="no pod was made for it; the namespace's quota may be full, or a policy refuses the "
    "pod: see `kubectl describe job`"
)
_BEING_MADE = Waiting(
    reason="its containers were still being made: a large K8S_JOB_IMAGE, or no ConfigMap of the "
    "name in K8S_JOB_CA_CONFIGMAP"
)


def _is_being_made(pod: Object) -> bool:
    states = list(_states(pod))
    return bool(states) and all("waiting" in state for _, state in states)


def _finished(job: Object) -> Object | None:
    for condition in job.get("status", {}).get("conditions") or ():
        if condition.get("type") in _FINISHED and condition.get("status") == "True":
            found: Object = condition
            return found
    return None


def _is_lost(pod: Object, now: datetime) -> bool:
    # The API puts the moment by which the pod should be gone.
    due = _moment(pod["metadata"].get("deletionTimestamp"))
    return due is not None and now - due >= LOST_GRACE


def _disruption(pod: Object) -> str:
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            parts = (condition.get("reason"), condition.get("message"))
            return cut(": ".join(str(part) for part in parts if part), 160)
    return ""


def _states(pod: Object) -> Iterator[tuple[str, Object]]:
    """Steps and their state, in the order in which they run."""
    status = pod.get("status", {})
    found = {
        each["name"]: each.get("state") or {}
        for group in ("initContainerStatuses", "containerStatuses")
        for each in status.get(group) or ()
    }
    for step in get_args(contract.Step):
        if step in found:
            yield step, found[step]


def _limit(pod: Object, step: str, what: str) -> str:
    spec = pod.get("spec", {})
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        if container.get("name") == step:
            return str(container.get("resources", {}).get("limits", {}).get(what, "its limit"))
    return "its limit"


def _said(text: object) -> str:
    """Foreign words, to go on within a sentence."""
    return cut(str(text), 160).rstrip(".")


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
