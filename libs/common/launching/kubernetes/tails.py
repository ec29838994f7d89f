"""The last lines of a pod that failed, into this service's log: the pod itself is soon gone.

Used by `launcher`. Local Jobs leave their logs in a folder; on a cluster, logs are the place where
people look. Secrets are taken out once more, although the runner writes none (SR-37).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import structlog

from libs.common.errors import AgentError, cut
from libs.common.git.errors import scrub
from libs.common.launching.kubernetes.pod import JOB_LABEL, TASK_LABEL
from libs.common.launching.kubernetes.reasons import failed_step

LINES = 50
LONGEST_LINE = 500
log = structlog.get_logger()
Object = Mapping[str, Any]


class Logs(Protocol):
    """The client, as far as logs go; may raise `AgentError`."""

    async def log_tail(self, pod: str, container: str, lines: int) -> str: ...


class Tails:
    """`secrets` are those that this process knows."""

    def __init__(self, logs: Logs, secrets: Iterable[str] = ()) -> None:
        self._logs = logs
        self._secrets = tuple(secrets)
        self._read: set[str] = set()
        self._reading: set[asyncio.Task[None]] = set()

    def look(self, pod: Object) -> None:
        """Keep the pod's last lines when it failed and they are not kept yet."""
        uid, step = pod["metadata"]["uid"], failed_step(pod)
        if step is None or uid in self._read:
            return
        self._read.add(uid)
        reading = asyncio.create_task(self._keep(pod, step))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)

    def forget(self, pod: Object) -> None:
        self._read.discard(pod["metadata"]["uid"])

    async def close(self) -> None:
        for reading in self._reading:
            reading.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)

    async def _keep(self, pod: Object, step: str) -> None:
        meta = pod["metadata"]
        try:
            text, why = await self._logs.log_tail(meta["name"], step, LINES), "no log"
        except AgentError as error:
            text, why = "", str(error)
        # The kubelet put the end of the log into the status, too.
        text = text or last_words(pod, step) or f"({why})"
        log.warning(
            "last lines of a job",
            job=meta.get("labels", {}).get(JOB_LABEL, ""),
            task_id=meta.get("annotations", {}).get(TASK_LABEL, ""),
            pod=meta["name"],
            step=step,
            lines=kept(text, self._secrets),
        )


def kept(text: str, secrets: Iterable[str] = ()) -> list[str]:
    """The last lines, each cut, without secrets. Pure."""
    lines = [line for line in scrub(text, secrets).splitlines() if line.strip()]
    return [cut(line, LONGEST_LINE) for line in lines[-LINES:]]


def last_words(pod: Object, step: str) -> str:
    """What the kubelet kept of the step's log when it failed."""
    status = pod.get("status", {})
    for group in ("initContainerStatuses", "containerStatuses"):
        for each in status.get(group) or ():
            if each.get("name") == step:
                ended = (each.get("state") or {}).get("terminated") or {}
                return str(ended.get("message") or "")
    return ""
