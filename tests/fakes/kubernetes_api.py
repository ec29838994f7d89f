"""A small Kubernetes API server: Jobs, their pods and logs, with watches, over HTTP.

Written from the API reference (concepts: resource versions, watches, bookmarks, 410 Gone, Status).
It plays the Job controller and the kubelet as far as a test tells it to. For `KubernetesClient` by
a kubeconfig file; `unit` and `integration` tests use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

Object = dict[str, Any]
_NAMES = {"jobs": "Job", "pods": "Pod"}


class FakeKubernetes:
    """`calls` counts requests as `verb resource`; `denied` are those that get 403.

    `away` answers 503, `silent` not at all; `quota` and `invalid` are reasons to refuse new Jobs.
    With `pods_start` a new Job has a running pod at once.
    """

    def __init__(self, namespace: str = "agents") -> None:
        self.namespaces = {namespace}
        self.namespace = namespace
        self.jobs: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        self.logs: dict[tuple[str, str], str] = {}
        self.calls: Counter[str] = Counter()
        self.created: list[Object] = []
        self.deletions: list[Object] = []
        self.denied: set[str] = set()
        self.away = self.silent = False
        self.quota = self.invalid = ""
        self.pods_start = True
        self.url = ""
        self._version = 100
        self._oldest = 0
        self._events: list[tuple[int, str, str, Object]] = []
        self._watchers: set[asyncio.Event] = set()
        self._cut: set[asyncio.Event] = set()

    @contextlib.asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[FakeKubernetes]:
        """Answer at `url` while open."""
        app = web.Application(middlewares=[self._guard])
        for path in ("/apis/batch/v1/namespaces/{ns}/{what}", "/api/v1/namespaces/{ns}/{what}"):
            app.router.add_get(path, self._list_or_watch)
            app.router.add_get(f"{path}/{{name}}", self._get)
            app.router.add_post(path, self._create)
            app.router.add_delete(f"{path}/{{name}}", self._delete)
        app.router.add_get("/api/v1/namespaces/{ns}/pods/{name}/log", self._log)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self.cut_watches()
            await runner.cleanup()

    def kubeconfig(self, folder: Path) -> str:
        """A file that leads here."""
        path = folder / "kubeconfig.json"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": "none"}}],
        }
        path.write_text(json.dumps(content), encoding="utf-8")
        return str(path)

    # What a test can let happen.

    def finish(self, job_name: str, exit_code: int, step: str = "run") -> None:
        """The step ends with that code, and the Job with it."""
        ended = {"exitCode": exit_code, "reason": "Completed" if exit_code == 0 else "Error"}
        group = "initContainerStatuses" if step == "clone" else "containerStatuses"
        self.set_pod(
            job_name,
            phase="Failed" if exit_code else "Succeeded",
            **{group: [{"name": step, "state": {"terminated": ended}}]},
        )
        if exit_code == 0:
            self.end_job(job_name, "Complete")
        else:
            self.end_job(job_name, "Failed", reason="PodFailurePolicy", message="exit code")

    def set_pod(self, job_name: str, **status: Any) -> None:
        """Give the Job's pod this status."""
        pod = self.pod_of(job_name)
        pod["status"] = status
        self._changed("pods", "MODIFIED", pod)

    def end_job(self, job_name: str, kind: str, reason: str = "", message: str = "") -> None:
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        job = self.jobs[job_name]
        job["status"] = {"conditions": [condition]}
        self._changed("jobs", "MODIFIED", job)

    def remove_pod(self, job_name: str) -> None:
        pod = self.pod_of(job_name)
        del self.pods[pod["metadata"]["name"]]
        self._changed("pods", "DELETED", pod)

    def adopt(self, job_name: str, task_id: str, source: str) -> None:
        """A Job of ours that was made before, with a running pod."""
        labels = {
            "app.kubernetes.io/part-of": "gitlab-copilot-agent",
            "app.kubernetes.io/component": "runner",
            "gca/source": source,
        }
        job = {
            "metadata": {
                "name": job_name,
                "uid": f"job-{self._version}",
                "creationTimestamp": _timestamp(),
                "labels": labels,
                "annotations": {"gca/task-id": task_id},
            },
            "spec": {"template": {"metadata": {"labels": labels}, "spec": {}}},
            "status": {"active": 1},
        }
        self.jobs[job_name] = job
        self._changed("jobs", "ADDED", job)
        self.add_pod(job_name)

    def add_pod(self, job_name: str, **status: Any) -> Object:
        """A pod of the Job, as the Job controller makes it."""
        job = self.jobs[job_name]
        template = deepcopy(job["spec"]["template"])
        name = f"{job_name}-{self._version}"
        labels = template["metadata"]["labels"]
        pod = {
            "metadata": {
                "name": name,
                "uid": f"pod-{self._version}",
                "creationTimestamp": _timestamp(),
                "labels": {**labels, "batch.kubernetes.io/job-name": job_name},
                "annotations": template["metadata"].get("annotations", {}),
                "ownerReferences": [
                    {"kind": "Job", "name": job_name, "uid": job["metadata"]["uid"]}
                ],
            },
            "spec": template["spec"],
            "status": status or {"phase": "Running"},
        }
        self.pods[name] = pod
        self._changed("pods", "ADDED", pod)
        return pod

    def pod_of(self, job_name: str) -> Object:
        """The newest pod of the Job."""
        label = "batch.kubernetes.io/job-name"
        return [p for p in self.pods.values() if p["metadata"]["labels"][label] == job_name][-1]

    def mark_deleted(self, job_name: str) -> None:
        """As with foreground deletion: the Job stays until its pods are gone."""
        self.jobs[job_name]["metadata"]["deletionTimestamp"] = _timestamp()
        self._changed("jobs", "MODIFIED", self.jobs[job_name])

    def age(self, job_name: str, made: str) -> None:
        """Let the Job and its pods have been made at `made`."""
        self.jobs[job_name]["metadata"]["creationTimestamp"] = made
        self._changed("jobs", "MODIFIED", self.jobs[job_name])
        for pod in self.pods.values():
            if pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == job_name:
                pod["metadata"]["creationTimestamp"] = made
                self._changed("pods", "MODIFIED", pod)

    def expire(self) -> None:
        """Forget what happened: watches from an older version get 410."""
        self._version += 1
        self._oldest = self._version
        self.cut_watches()

    def cut_watches(self) -> None:
        """End all watches, as a server that restarts does."""
        for cut in self._cut:
            cut.set()

    @property
    def watches(self) -> int:
        """Watches that are open now."""
        return len(self._cut)

    # The API.

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.silent:
            await asyncio.sleep(3600)
        doing = _doing(request)
        self.calls[doing] += 1
        if self.away:
            return _status(503, "the server is currently unable to handle the request")
        if doing in self.denied:
            verb, what = doing.split()
            return _status(
                403,
                f'{what} is forbidden: User "system:serviceaccount:agents:gca-reviewer" cannot '
                f'{verb} resource "{what}" in API group "batch" in the namespace "agents"',
            )
        return await handler(request)

    async def _create(self, request: web.Request) -> web.Response:
        job = await request.json()
        name, namespace = job["metadata"]["name"], request.match_info["ns"]
        if namespace not in self.namespaces:
            return _status(404, f'namespaces "{namespace}" not found')
        if name in self.jobs:
            return _status(409, f'jobs.batch "{name}" already exists')
        if self.quota:
            return _status(403, f'jobs.batch "{name}" is forbidden: exceeded quota: {self.quota}')
        if self.invalid:
            return _status(422, f'Job.batch "{name}" is invalid: {self.invalid}')
        self.created.append(deepcopy(job))
        job["metadata"] |= {"uid": f"job-{self._version}", "creationTimestamp": _timestamp()}
        job["status"] = {}
        self.jobs[name] = job
        self._changed("jobs", "ADDED", job)
        if self.pods_start:
            self.add_pod(name)
        return web.json_response(job, status=201)

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.jobs:
            return _status(404, f'jobs.batch "{name}" not found')
        return web.json_response(self.jobs[name])

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        options = await request.json() if request.can_read_body else dict(request.query)
        self.deletions.append({"name": name, **options})
        if name not in self.jobs:
            return _status(404, f'jobs.batch "{name}" not found')
        wanted = options.get("preconditions", {}).get("uid")
        if wanted not in {None, self.jobs[name]["metadata"]["uid"]}:
            return _status(409, f"the UID in the precondition ({wanted}) does not match")
        job = self.jobs.pop(name)
        self._changed("jobs", "DELETED", job)
        for pod in list(self.pods.values()):
            if pod["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]:
                del self.pods[pod["metadata"]["name"]]
                self._changed("pods", "DELETED", pod)
        return _status(200, "")

    async def _log(self, request: web.Request) -> web.Response:
        key = (request.match_info["name"], request.query.get("container", ""))
        if key not in self.logs:
            return _status(400, "container is not available")
        lines = self.logs[key].splitlines()[-int(request.query.get("tailLines", "1000")) :]
        return web.Response(text="\n".join(lines))

    async def _list_or_watch(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch", "").lower() in {"true", "1"}:
            return await self._watch(request)
        what, start = request.match_info["what"], int(request.query.get("continue") or 0)
        if request.match_info["ns"] not in self.namespaces:
            return web.json_response(_page(what, [], self._version))
        found = [each for each in getattr(self, what).values() if _matches(each, request)]
        limit = int(request.query.get("limit", "500"))
        more = str(start + limit) if len(found) > start + limit else ""
        return web.json_response(_page(what, found[start : start + limit], self._version, more))

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        seen = int(request.query.get("resourceVersion") or 0)
        if seen < self._oldest:
            return _status(410, f"too old resource version: {seen} ({self._oldest})")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        news, cut = asyncio.Event(), asyncio.Event()
        self._watchers.add(news)
        self._cut.add(cut)
        try:
            while not cut.is_set():
                news.clear()
                for version, what, kind, found in list(self._events):
                    if version > seen and what == request.match_info["what"]:
                        seen = version
                        if kind in {"BOOKMARK", "ERROR"} or _matches(found, request):
                            await _send(response, {"type": kind, "object": found})
                waits = [asyncio.ensure_future(each.wait()) for each in (news, cut)]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
        except ConnectionError:
            pass
        finally:
            self._watchers.discard(news)
            self._cut.discard(cut)
        return response

    def bookmark(self, what: str) -> None:
        """Tell watches how far they are."""
        self._version += 1
        found = {"kind": _NAMES[what], "metadata": {"resourceVersion": str(self._version)}}
        self._tell(what, "BOOKMARK", found)

    def fail_watches(self, what: str, code: int, message: str) -> None:
        """Send an error within the watch, as the API does."""
        self._version += 1
        found = {"kind": "Status", "code": code, "message": message}
        self._tell(what, "ERROR", found)

    def _changed(self, what: str, kind: str, found: Object) -> None:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        self._tell(what, kind, found)

    def _tell(self, what: str, kind: str, found: Object) -> None:
        self._events.append((self._version, what, kind, deepcopy(found)))
        for watcher in self._watchers:
            watcher.set()


def _doing(request: web.Request) -> str:
    parts = request.path.split("/namespaces/")[1].split("/")[1:]
    what = "pods/log" if parts[-1] == "log" else parts[0]
    if request.method == "GET" and len(parts) == 1:
        watch = request.query.get("watch", "").lower() in {"true", "1"}
        return f"{'watch' if watch else 'list'} {what}"
    return f"{ {'GET': 'get', 'POST': 'create', 'DELETE': 'delete'}[request.method] } {what}"


def _matches(found: Object, request: web.Request) -> bool:
    wanted = filter(None, request.query.get("labelSelector", "").split(","))
    labels = found["metadata"].get("labels", {})
    return all(labels.get(each.partition("=")[0]) == each.partition("=")[2] for each in wanted)


def _page(what: str, found: list[Object], version: int, more: str = "") -> Object:
    metadata = {"resourceVersion": str(version), **({"continue": more} if more else {})}
    return {"kind": f"{_NAMES[what]}List", "metadata": metadata, "items": found}


def _status(code: int, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "message": message, "code": code}
    return web.json_response(body, status=code)


async def _send(response: web.StreamResponse, event: Object) -> None:
    await response.write(json.dumps(event).encode() + b"\n")


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
