"""helm as the tests use it: releases in one namespace, from the charts of this repository."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.cluster.tools import ROOT, Answer, run, succeed

CHARTS = ROOT / "charts"
KUBE = "1.34.0"
"""Without a cluster, helm takes the oldest Kubernetes that it knows."""
SIMULATORS = ROOT / "tests" / "cluster" / "simulators"


@dataclass(frozen=True)
class Helm:
    binary: Path
    kubeconfig: Path
    namespace: str
    files: tuple[Path, ...] = ()
    """Values that come before those of a call."""

    def with_files(self, *files: Path) -> Helm:
        return replace(self, files=files)

    async def install(
        self,
        release: str,
        chart: Path,
        values: dict[str, Any],
        *,
        wait: bool = True,
        seconds: float = 300,
    ) -> str:
        """Install or upgrade, and wait until everything of it is ready."""
        waiting = ("--wait", f"--timeout={seconds}s") if wait else ()
        with self._values(values) as files:
            command = self._command("upgrade", "--install", release, str(chart), *files, *waiting)
            return await succeed(*command, seconds=seconds + 30)

    async def attempt(self, *arguments: str, seconds: float = 120) -> Answer:
        return await run(*self._command(*arguments), seconds=seconds)

    async def uninstall(self, release: str) -> None:
        await run(*self._command("uninstall", release, "--ignore-not-found", "--wait"), seconds=120)

    async def rendered(self, release: str, chart: Path, values: dict[str, Any]) -> str:
        with self._values(values) as files:
            command = self._command(
                "template", release, str(chart), *files, f"--kube-version={KUBE}"
            )
            return await succeed(*command)

    def _command(self, *arguments: str) -> tuple[str | Path, ...]:
        where = (f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}")
        return (self.binary, *arguments, *where)

    @contextlib.contextmanager
    def _values(self, values: dict[str, Any]) -> Iterator[list[str]]:
        """Values as options; JSON is YAML."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(values, file)
            file.flush()
            yield [part for one in (*self.files, file.name) for part in ("-f", str(one))]
