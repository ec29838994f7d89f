"""Each chart as a release of its own, as docs/kubernetes.md types it: the same system."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.cluster.helm import CHARTS, Helm
from tests.cluster.installed import PATIENCE, STORY, Installed
from tests.cluster.installing import installed, namespace, one_by_one

pytestmark = STORY


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def parts(kubectl, helm_binary, images, tmp_path_factory) -> AsyncIterator[Installed]:
    name = f"gca-parts-{secrets.token_hex(3)}"
    folder = tmp_path_factory.mktemp("parts")
    async with namespace(kubectl, name) as there:
        helm = Helm(helm_binary, kubectl.kubeconfig, name)
        async with installed(there, helm, images, folder, one_by_one) as system:
            yield system


async def test_releases_of_their_own_work_together_and_one_is_upgraded_and_removed_alone(parts):
    await parts.review_of(await parts.gitlab.opened(), seconds=PATIENCE)
    await parts.answered(await parts.gitlab.draft(), "/copilot add a note")

    listed = await parts.helm.attempt("list", "--short")
    assert {"gca-nats", "gca-reviewer", "simulators"} <= set(listed.out.split())
    reviewer = ("gca-reviewer", str(CHARTS / "reviewer"))
    changed = ("--reuse-values", "--set=podAnnotations.test=yes", "--wait", "--timeout=300s")
    upgraded = await parts.helm.attempt("upgrade", *reviewer, *changed, seconds=330)
    assert upgraded.code == 0, upgraded.said
    await parts.review_of(await parts.gitlab.opened(), seconds=PATIENCE)

    await parts.helm.uninstall("gca-reviewer")
    assert [] == await parts.kubectl.pods("reviewer")
    await parts.answered(await parts.gitlab.draft(), "/copilot add a note")
