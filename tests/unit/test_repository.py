"""Rules of the repository itself: locks without addresses, documented modules, settings in step."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from libs.common.launching import contract
from services.coder.settings import Settings as Coder
from services.ingest.settings import Settings as Ingest
from services.ops import environments
from services.publisher.settings import Settings as Publisher
from services.reviewer.settings import Settings as Reviewer
from services.runner.settings import CloneSettings, RunSettings

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
CODE = sorted(path for folder in ("libs", "services") for path in (ROOT / folder).rglob("*.py"))
SUPPORT = sorted(
    path
    for path in (ROOT / "tests").rglob("*.py")
    if not path.name.startswith(("test_", "conftest")) and path.stat().st_size
)
MOST_LINES = 400
SERVICES = {"ingest": Ingest, "reviewer": Reviewer, "coder": Coder, "publisher": Publisher}
# In pieces, so that this file does not hold what it looks for.
HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("objects", "githubusercontent", "com"),
        ("proxy", "golang", "org"),
    )
)


def fields(settings: type) -> set[str]:
    return {name.upper() for name in settings.model_fields}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("lock", LOCKS, ids=name)
def test_a_lock_file_has_versions_and_hashes_and_no_address(lock):
    lines = [line.strip() for line in lock.read_text().splitlines()]
    pinned = [line for line in lines if re.match(r"[A-Za-z0-9._-]+(\[[^]]*\])?==", line)]

    assert pinned
    assert [line for line in lines if "://" in line] == []
    assert [line for line in lines if line.startswith(("-i", "-f", "--index", "--find"))] == []
    assert sum(line.startswith("--hash=sha256:") for line in lines) >= len(pinned)


def test_there_is_a_lock_file_for_each_service_and_for_development():
    wanted = {*SERVICES, "runner", "ops", "dev"}
    assert {lock.stem for lock in LOCKS} == wanted


def test_no_file_names_the_host_of_a_package_registry():
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    found = []
    for entry in filter(None, listed.split("\0")):
        path = ROOT / entry
        if path.is_file():
            text = path.read_text(errors="replace")
            found += [f"{entry}: {host}" for host in HOSTS if host in text]

    assert found == []


@pytest.mark.parametrize("path", [*CODE, *SUPPORT], ids=name)
def test_a_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text())), f"{name(path)} has no docstring"


def test_no_file_of_the_product_is_too_long_to_read():
    lengths = {name(path): len(path.read_text().splitlines()) for path in CODE}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


@pytest.mark.parametrize("service", SERVICES)
def test_gca_up_hands_every_setting_of_a_service_on(service):
    handed = {*environments.ALL, *environments.OWN[service], "HEALTH_PORT"}
    assert fields(SERVICES[service]) - handed == set()


@pytest.mark.parametrize("service", SERVICES)
def test_gca_up_hands_no_service_what_it_does_not_read(service):
    named = {*environments.ALL, *environments.OWN[service]}
    assert named - fields(SERVICES[service]) == set()


def test_the_settings_of_each_step_are_those_that_it_reads():
    """The names that a Job may get are read by its step, and by no other (SR-18)."""
    common = {"NATS_URL", "NATS_CREDENTIALS", "HEALTH_HOST", "HEALTH_PORT"}
    for step, settings in (("clone", CloneSettings), ("run", RunSettings)):
        told = {*contract.STEP_SETTINGS[step], *contract.BOTH_STEPS}
        assert fields(settings) - common - told == set(), step
        assert set(contract.STEP_SETTINGS[step]) - fields(settings) == set(), step


def test_only_the_publisher_is_handed_the_token_that_writes():
    """SR-38: the write token is in no other service, nor in a Job."""
    holders = {name for name, own in environments.OWN.items() if "GITLAB_TOKEN" in own}
    steps = {name for names in contract.STEP_SETTINGS.values() for name in names}

    assert holders == {"publisher"}
    assert "GITLAB_TOKEN" not in steps
    assert "GITLAB_TOKEN" not in environments.ALL


def test_only_ingest_is_handed_the_secrets_of_the_webhook():
    """SR-38."""
    secrets = {"GITLAB_WEBHOOK_SECRET", "GITLAB_WEBHOOK_SIGNING_TOKEN"}
    holders = {name for name, own in environments.OWN.items() if secrets & set(own)}

    assert holders == {"ingest"}
