"""What an answer of the Kubernetes API means for us: pure, used by `client`.

Whoever reads the sentence runs the cluster or asks somebody who does, so it names the setting, the
right or the command that helps.
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.errors import AgentError, Permanent, Temporary, cut

PEER = "kubernetes"
_AWAY_SECONDS = 5.0
_OPERATOR_SECONDS = 30.0


class Gone(AgentError):
    """The version to watch from is too old (410): list anew."""


class Doing(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of the API: a verb of RBAC on a resource in a namespace."""

    verb: str
    resource: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} in namespace {self.namespace}"


def meaning(status: int, body: str, doing: Doing, *, retry_after: float = 0.0) -> AgentError:
    """The error to raise for an answer that is none of the expected ones."""
    said = message(body)
    if status == 410:
        return Gone(f"cannot {doing}: {said}")
    if status == 401:
        return _wait(
            f"Kubernetes does not know us (401) and lets us not {doing}; "
            "check the service account or the login in KUBECONFIG"
        )
    if status == 403:
        return _wait(_forbidden(said, doing))
    if status == 404:
        return _wait(f"cannot {doing}: {said}; check K8S_NAMESPACE")
    if status == 429 or status >= 500:
        delay = min(max(retry_after, 1.0), 60.0) if retry_after else _AWAY_SECONDS
        return Temporary(
            f"the Kubernetes API is busy or away ({status}): {said}", delay=delay, peer=PEER
        )
    return Permanent(f"Kubernetes refuses to {doing} ({status}): {said}")


def away(error: BaseException, doing: Doing) -> Temporary:
    """No answer at all."""
    said = cut(str(error), 160)
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return Temporary(
        f"cannot reach the Kubernetes API to {doing}: {what}", delay=_AWAY_SECONDS, peer=PEER
    )


def message(body: str) -> str:
    """The `message` of a Status, or the start of whatever was answered instead."""
    try:
        status: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError):
        return cut(body, 160) or "no words"
    said = status.get("message") if isinstance(status, dict) else None
    return cut(str(said or body))


def _forbidden(said: str, doing: Doing) -> str:
    if "exceeded quota" in said:
        return (
            f"the quota of namespace {doing.namespace} is full: {said}; Jobs start again when "
            "there is room, or raise the ResourceQuota"
        )
    return (
        f"Kubernetes lets us not {doing}: {said}; see `kubectl auth can-i {doing.verb} "
        f"{doing.resource} -n {doing.namespace}` for the service account"
    )


def _wait(sentence: str) -> Temporary:
    # A person has to act; the peer is not down, it says no.
    return Temporary(sentence, delay=_OPERATOR_SECONDS)
