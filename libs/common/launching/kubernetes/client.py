"""The one door to the Kubernetes API: Jobs and pods of one namespace. Used by `launcher`.

Objects are the API's own JSON. Every call has a time-out, and raises `Temporary` with a sentence
for an operator, or `Permanent` where the API will never take what was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Literal, NamedTuple

import aiohttp
import msgspec

from libs.common.errors import AgentError, Temporary, cut
from libs.common.launching.kubernetes import errors
from libs.common.launching.kubernetes.connecting import Apis, connect
from libs.common.launching.kubernetes.errors import Doing

Object = dict[str, Any]
Resource = Literal["jobs", "pods"]

CALL_SECONDS = 10.0
WATCH_SECONDS = 240
"""How long the server keeps a watch open; then it is opened again where it was."""
SILENCE_SECONDS = 150.0
"""Bookmarks come about once a minute; a longer silence is a connection that died unseen."""
PAGE = 500
_RAW = {"_preload_content": False, "_request_timeout": CALL_SECONDS}


class Listing(NamedTuple):
    """Objects, and the version to watch from."""

    objects: list[Object]
    version: str


class Change(NamedTuple):
    """An event of a watch: ADDED, MODIFIED, DELETED or BOOKMARK."""

    kind: str
    found: Object


class Answer(NamedTuple):
    """Status, body, and seconds to wait where the server says so."""

    status: int
    body: str
    retry_after: float


class KubernetesClient:
    """Calls with the account of the pod, or as `kubeconfig` (default: KUBECONFIG) says."""

    def __init__(self, namespace: str, *, kubeconfig: str | None = None) -> None:
        self.namespace = namespace
        self._kubeconfig = kubeconfig
        self._lock = asyncio.Lock()
        self._apis: Apis | None = None

    async def create_job(self, manifest: Object) -> Object | None:
        """The Job as created; None when there is one of that name."""
        doing = self._doing("create", "jobs")
        answer = await self._call(
            doing,
            lambda apis: apis.jobs.create_namespaced_job(self.namespace, manifest, **_RAW),
        )
        return None if answer.status == 409 else _object(answer, doing)

    async def job(self, name: str) -> Object | None:
        """The Job, or None when there is none of that name."""
        doing = self._doing("get", "jobs")
        answer = await self._call(
            doing, lambda apis: apis.jobs.read_namespaced_job(name, self.namespace, **_RAW)
        )
        return None if answer.status == 404 else _object(answer, doing)

    async def delete_job(self, name: str, uid: str = "") -> bool:
        """Delete it and, in the background, its pods; one that is not there is success.

        With `uid` only that one; False when the name is another's by now.
        """
        doing = self._doing("delete", "jobs")
        how = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}
        body = {**how, "preconditions": {"uid": uid}} if uid else how
        answer = await self._call(
            doing,
            lambda apis: apis.jobs.delete_namespaced_job(name, self.namespace, body=body, **_RAW),
        )
        if answer.status not in {404, 409}:
            _object(answer, doing)
        return answer.status != 409

    async def list(self, resource: Resource, selector: str) -> Listing:
        """All of them, page by page."""
        doing = self._doing("list", resource)
        found: list[Object] = []
        which = {"label_selector": selector, "limit": PAGE, **_RAW}
        while True:
            answer = await self._call(
                doing, functools.partial(_listed, resource, self.namespace, dict(which))
            )
            page = _object(answer, doing)
            found += page.get("items") or []
            which["_continue"] = page["metadata"].get("continue") or ""
            if not which["_continue"]:
                return Listing(found, page["metadata"].get("resourceVersion", ""))

    async def watch(
        self, resource: Resource, selector: str, version: str
    ) -> AsyncIterator[Change | None]:
        """None once it is open, then what changed after `version`, until the server ends it.

        Raises `errors.Gone` when that version is too old.
        """
        doing = self._doing("watch", resource)
        asked = {
            "label_selector": selector,
            "resource_version": version,
            "allow_watch_bookmarks": True,
            "timeout_seconds": WATCH_SECONDS,
            "watch": True,
            "_preload_content": False,
            "_request_timeout": aiohttp.ClientTimeout(
                total=None, sock_connect=CALL_SECONDS, sock_read=SILENCE_SECONDS
            ),
        }
        apis = await self._connected(doing)
        with _translated(doing):
            async with await _lister(apis, resource)(self.namespace, **asked) as response:
                if response.status != 200:
                    _object(await _answer(response), doing)
                yield None
                # A silence ends it as the server would: whether it still answers shows next.
                with contextlib.suppress(aiohttp.SocketTimeoutError):
                    async for line in _lines(response):
                        yield _change(line, doing)

    async def log_tail(self, pod: str, container: str, lines: int) -> str:
        """The last `lines` of a container's log."""
        doing = self._doing("get", "pods/log")
        asked = {"container": container, "tail_lines": lines, **_RAW}
        answer = await self._call(
            doing,
            lambda apis: apis.pods.read_namespaced_pod_log(pod, self.namespace, **asked),
        )
        # 204: there is no log, as of a pod that never got a node.
        if answer.status not in {200, 204}:
            raise errors.meaning(answer.status, answer.body, doing)
        return answer.body

    async def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        apis, self._apis = self._apis, None
        if apis is not None:
            await apis.close()

    def _doing(self, verb: str, resource: str) -> Doing:
        return Doing(verb=verb, resource=resource, namespace=self.namespace)

    async def _call(self, doing: Doing, call: Callable[[Apis], Awaitable[Any]]) -> Answer:
        apis = await self._connected(doing)
        with _translated(doing):
            async with await call(apis) as response:
                return await _answer(response)

    async def _connected(self, doing: Doing) -> Apis:
        async with self._lock:
            if self._apis is None:
                try:
                    self._apis = await connect(self._kubeconfig)
                except Exception as error:  # noqa: BLE001  whatever it is, a person has to mend it
                    raise Temporary(
                        f"cannot {doing}: no service account and no good KUBECONFIG "
                        f"({type(error).__name__}: {cut(str(error), 160)})",
                        delay=30.0,
                    ) from None
            return self._apis


def _listed(
    resource: Resource, namespace: str, asked: Object, apis: Apis
) -> Awaitable[aiohttp.ClientResponse]:
    found: Awaitable[aiohttp.ClientResponse] = _lister(apis, resource)(namespace, **asked)
    return found


def _lister(apis: Apis, resource: Resource) -> Callable[..., Any]:
    found: Callable[..., Any] = (
        apis.jobs.list_namespaced_job if resource == "jobs" else apis.pods.list_namespaced_pod
    )
    return found


@contextlib.contextmanager
def _translated(doing: Doing) -> Iterator[None]:
    try:
        yield
    except AgentError:
        raise
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise errors.away(error, doing) from None


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    after = response.headers.get("Retry-After", "")
    body = await response.text(errors="replace")
    return Answer(response.status, body, float(after) if after.isdecimal() else 0.0)


def _object(answer: Answer, doing: Doing) -> Object:
    if not 200 <= answer.status < 300:
        raise errors.meaning(answer.status, answer.body, doing, retry_after=answer.retry_after)
    return _decoded(answer.body, doing)


def _decoded(body: str | bytes, doing: Doing) -> Object:
    try:
        found: Object = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError):
        raise Temporary(f"Kubernetes was asked to {doing} and answered no JSON") from None
    return found


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Whole lines however long; readline would refuse some."""
    rest = b""
    async for piece in response.content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        for line in filter(None, lines):
            yield line


def _change(line: bytes, doing: Doing) -> Change:
    event = _decoded(line, doing)
    found = event.get("object") or {}
    if event.get("type") == "ERROR":
        body = msgspec.json.encode(found).decode()
        raise errors.meaning(int(found.get("code") or 500), body, doing)
    return Change(str(event.get("type")), found)
