"""The Tiltfile: short, about all services, and taken by tilt itself where that was built."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from services.ops.environments import HEALTH_PORTS
from tests.cluster import buttons
from tests.cluster.machine import configuration
from tests.cluster.machine.addresses import Addresses
from tests.cluster.tools import found, missing

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Tiltfile").read_text()


def test_it_has_at_most_60_lines():
    assert len(TEXT.splitlines()) <= 60


def test_it_has_every_service_and_its_health_port():
    [table] = re.findall(r"^HEALTH = (\{.*\})$", TEXT, re.MULTILINE)

    assert HEALTH_PORTS == ast.literal_eval(table)


def test_every_button_has_a_verb_and_every_forwarded_port_is_the_one_it_talks_to():
    verbs = re.findall(r"^button\('[^']+', '(\w+)'\)$", TEXT, re.MULTILINE)

    assert sorted(verbs) == ["demo", "replay", "webhook"]
    assert all(callable(getattr(buttons, verb)) for verb in verbs)
    for address in (buttons.GITLAB, buttons.WEBHOOK, buttons.NATS):
        [port] = re.findall(r":(\d+)", address)
        assert re.search(rf"\b{port}\b", TEXT), f"nothing is forwarded to {address}"


def test_only_clusters_of_this_machine_or_named_by_the_operator_are_touched():
    assert "allow_k8s_contexts([name for name in ['gca', os.getenv('GCA_K8S_CONTEXT', '')]" in TEXT


@pytest.mark.real
@pytest.mark.timeout(180)
def test_tilt_itself_finds_a_resource_for_everything(tmp_path):
    """No cluster is asked and nothing is built; helm renders, and the logins are made."""
    tilt, helm = found("tilt"), found("helm")
    for name, program in (("tilt", tilt), ("helm", helm)):
        if program is None:
            pytest.skip(missing(name))
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(configuration.kubeconfig(Addresses(), b"ca", b"crt", b"key")))
    made = {"KUBECONFIG": str(kubeconfig), "GCA_KUBERNETES_DIR": str(tmp_path / "logins")}
    programs = f"{tilt.parent}:{helm.parent}:{os.environ['PATH']}"

    done = subprocess.run(
        [tilt, "alpha", "tiltfile-result"],
        cwd=ROOT,
        env=os.environ | made | {"PATH": programs, "DO_NOT_TRACK": "1", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-4000:]
    names = {one["Name"] for one in json.loads(done.stdout)["Manifests"]}
    assert {f"gca-{name}" for name in (*HEALTH_PORTS, "nats", "simulators")} <= names
    assert {"open the demo merge request", "send a recorded webhook"} <= names
