"""What answers of the Kubernetes API mean: who has to wait, and what helps."""

from __future__ import annotations

import json

import pytest

from libs.common.errors import Permanent, Temporary
from libs.common.launching.kubernetes.errors import Doing, Gone, away, meaning, message

CREATE = Doing(verb="create", resource="jobs", namespace="agents")


def status(text: str) -> str:
    return json.dumps({"kind": "Status", "message": text})


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (401, "Unauthorized", "service account"),
        (403, "jobs.batch is forbidden: User cannot create", "can-i create jobs -n agents"),
        (403, "forbidden: exceeded quota: pods, limited: pods=5", "quota of namespace agents"),
        (404, 'namespaces "agents" not found', "K8S_NAMESPACE"),
        (429, "too many requests", "busy or away (429)"),
        (500, "etcdserver: leader changed", "busy or away (500)"),
        (503, "apiserver not ready", "busy or away (503)"),
    ],
)
def test_what_may_become_better_is_waited_for(code, said, words):
    error = meaning(code, status(said), CREATE)

    assert isinstance(error, Temporary)
    assert words in str(error)


def test_a_busy_server_says_how_long():
    error = meaning(429, status("slow down"), CREATE, retry_after=7)

    assert (error.delay, error.peer) == (7, "kubernetes")


@pytest.mark.parametrize("code", [400, 409, 413, 422])
def test_a_job_that_can_never_be_is_refused_for_good(code):
    error = meaning(code, status("spec is wrong"), CREATE)

    assert isinstance(error, Permanent)
    refused = f"Kubernetes refuses to create jobs in namespace agents ({code})"
    assert str(error) == f"{refused}: spec is wrong"


def test_an_old_version_is_gone():
    assert isinstance(meaning(410, status("too old resource version"), CREATE), Gone)


def test_no_answer_says_what_was_tried():
    error = away(TimeoutError(), CREATE)

    assert str(error).endswith("to create jobs in namespace agents: TimeoutError")
    assert error.peer == "kubernetes"


def test_pages_of_proxies_are_cut():
    assert message("<html>" + "x" * 900).startswith("<html>x")
    assert len(message("<html>" + "x" * 900)) == 160
    assert message("") == "no words"
