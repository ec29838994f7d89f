"""Helm, as the tests of the charts use it: charts and values in, manifests or a refusal out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "charts"
SERVICES = ("ingest", "reviewer", "coder", "publisher")
KUBERNETES = "1.34.0"
NAMESPACE = "agents"
MISSING = "helm is not here; `make helm` builds it"

LEAST = {
    "global": {
        "settings": {"GITLAB_URL": "https://gitlab.example.com"},
        "secrets": {"GITHUB_TOKEN": {"name": "gca-model", "key": "token"}},
    }
}
"""What has to be given, and no more."""
USERS = ("ingest", "reviewer", "coder", "publisher", "topology", "ops")
LEAST_OF_STACK = {
    **LEAST,
    "nats": {"users": {name: f"U{name.upper():A<55}" for name in USERS}},
}
"""The stack's NATS knows its users by their public keys."""

Manifest = dict[str, Any]


class Refused(Exception):
    """Helm's own words."""


def found() -> Path | None:
    """That of the test cluster's tools, else that of PATH."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cached = cache.glob("gitlab-copilot-agent/cluster/*/bin/helm")
    built = sorted(cached, key=lambda path: path.stat().st_mtime)
    in_path = shutil.which("helm")
    return built[-1] if built else Path(in_path) if in_path else None


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Values over values, as helm lays several files over each other."""
    both = first.keys() & second.keys()
    deep = {
        key: merged(first[key], second[key])
        for key in both
        if isinstance(first[key], dict) and isinstance(second[key], dict)
    }
    return first | second | deep


@dataclass(frozen=True)
class Helm:
    """One helm; each call is a process and touches no cluster."""

    binary: Path
    folder: Path

    def template(self, chart: str | Path, values: dict[str, Any] | None = None) -> list[Manifest]:
        """The manifests of `chart` with the least values and these over them."""
        least = LEAST_OF_STACK if chart == "stack" else LEAST
        return read(self.text(chart, merged(least, values or {})))

    def text(self, chart: str | Path, values: dict[str, Any]) -> str:
        place = ("--namespace", NAMESPACE, "--kube-version", KUBERNETES)
        return self.run("template", "gca", str(CHARTS / chart), *place, values=values)

    def run(self, *arguments: str, values: dict[str, Any] | None = None) -> str:
        file = self.folder / "values.json"
        file.write_text(json.dumps(values or {}))
        given = ("--values", str(file)) if values else ()
        ended = subprocess.run(
            (str(self.binary), *arguments, *given),
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
        )
        if ended.returncode:
            raise Refused(without_notes(ended.stderr) + ended.stdout)
        return ended.stdout


def read(text: str) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """Those of one kind, by name."""
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def the(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    return of_kind(manifests, kind)[name]


def environment(deployment: Manifest) -> dict[str, str]:
    """What the service's container finds in its environment."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Every pod's spec that the manifests ask for, by kind and name."""
    specs = {}
    for one in manifests:
        found = one.get("spec", {}).get("template", {}).get("spec")
        spec = one["spec"] if one["kind"] == "Pod" else found
        if spec:
            specs[f"{one['kind']} {one['metadata']['name']}"] = spec
    return specs


def without_notes(said: str) -> str:
    """Helm 3 names each link that it follows."""
    return re.sub(r"^walk\.go.*\n", "", said, flags=re.MULTILINE)
