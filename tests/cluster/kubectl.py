"""kubectl as the tests use it: one cluster, one namespace, every call with a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.cluster.tools import Answer, run, succeed

PART_OF = "app.kubernetes.io/part-of=gitlab-copilot-agent"
COMPONENT = "app.kubernetes.io/component"


@dataclass(frozen=True)
class Kubectl:
    """Calls return what kubectl printed; they fail with what it said when it is refused."""

    binary: Path
    kubeconfig: Path
    namespace: str = "default"

    def of(self, namespace: str) -> Kubectl:
        return replace(self, namespace=namespace)

    async def __call__(self, *arguments: str, stdin: str | None = None, seconds: float = 60) -> str:
        return await succeed(*self._command(arguments), stdin=stdin, seconds=seconds)

    async def attempt(
        self, *arguments: str, stdin: str | None = None, seconds: float = 60
    ) -> Answer:
        """As a call, but a refusal is an answer too."""
        return await run(*self._command(arguments), stdin=stdin, seconds=seconds)

    async def get(self, kind: str, *selector: str) -> list[dict[str, Any]]:
        """All objects of a kind, by labels such as `a=b`."""
        labels = ("-l", ",".join(selector)) if selector else ()
        answer = json.loads(await self("get", kind, *labels, "-o", "json"))
        assert isinstance(answer["items"], list)
        return answer["items"]

    async def one(self, kind: str, name: str) -> dict[str, Any]:
        found = json.loads(await self("get", kind, name, "-o", "json"))
        assert isinstance(found, dict)
        return found

    async def apply(self, *manifests: dict[str, Any]) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        await self("apply", "-f", "-", stdin=json.dumps(items))

    async def pods(self, component: str) -> list[dict[str, Any]]:
        """Pods of a component that are not on their way out."""
        found = await self.get("pods", PART_OF, f"{COMPONENT}={component}")
        return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]

    async def logs(self, component: str, *options: str) -> str:
        """What all pods of a component have said, an earlier container's words left out."""
        labels = f"{PART_OF},{COMPONENT}={component}"
        return await self("logs", "-l", labels, "--tail=-1", "--prefix", *options)

    async def rolled_out(self, *deployments: str, seconds: float = 180) -> None:
        """Wait until every replica of these runs the newest template and is ready."""
        for name in deployments:
            await self(
                "rollout",
                "status",
                f"deployment/{name}",
                f"--timeout={seconds}s",
                seconds=seconds + 10,
            )

    async def until(
        self,
        look: Callable[[], Awaitable[object]],
        what: str,
        *,
        seconds: float = 60,
        pause: float = 0.5,
    ) -> Any:
        """Wait until `look` gives something true; fails with what it gave last."""
        until, seen = time.monotonic() + seconds, None
        while time.monotonic() < until:
            seen = await look()
            if seen:
                return seen
            await asyncio.sleep(pause)
        pods = (await self.attempt("get", "pods", "-o", "wide")).said
        raise AssertionError(f"waited {seconds} s for {what}; last seen {seen!r}\n{pods}")

    @contextlib.asynccontextmanager
    async def forward(self, target: str, port: int) -> AsyncIterator[int]:
        """A local port that leads to a pod or service, also after that pod was replaced.

        For the pod it comes from its own loopback address, which control interfaces ask for.
        """
        opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._keep_forwarding(target, port, opened))
        try:
            async with asyncio.timeout(30):
                yield_port = await asyncio.shield(opened)
        except TimeoutError:
            task.cancel()
            raise AssertionError(f"kubectl port-forward to {target}:{port} did not open") from None
        try:
            yield yield_port
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep_forwarding(self, target: str, port: int, opened: asyncio.Future[int]) -> None:
        while True:
            local = str(opened.result()) if opened.done() else ""
            process = await asyncio.create_subprocess_exec(
                *map(str, self._command(("port-forward", target, f"{local}:{port}"))),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            assert process.stdout is not None
            try:
                while line := (await process.stdout.readline()).decode():
                    if line.startswith("Forwarding from 127.0.0.1:") and not opened.done():
                        opened.set_result(int(line.split(":")[1].split()[0]))
                await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            await asyncio.sleep(0.3)

    def _command(self, arguments: tuple[str, ...]) -> tuple[str | Path, ...]:
        return (
            self.binary,
            f"--kubeconfig={self.kubeconfig}",
            f"--namespace={self.namespace}",
            *arguments,
        )
