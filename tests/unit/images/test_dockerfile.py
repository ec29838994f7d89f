"""SR-40: what an image is made of is pinned, without rights, and holds no secret."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

from services.ops.images import FOR_TESTS, SERVICES

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LINES = [line.strip() for line in DOCKERFILE.splitlines()]


def said(word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in LINES if line.startswith(f"{word} ")]


def test_sr_40_public_bases_are_pinned_by_digest():
    bases = [value for value in said("ARG") if value.startswith(("BASE=", "NODE="))]

    assert len(bases) == 2
    for base in bases:
        assert re.search(r"@sha256:[0-9a-f]{64}$", base), base


def test_sr_40_every_stage_stands_on_a_pinned_base():
    stages = {line.rpartition(" AS ")[2] for line in said("FROM")}
    for line in said("FROM"):
        on = line.partition(" ")[0]
        assert on in {*stages, "${BASE}", "${NODE}", "on-${SERVICE}"}, line


def test_sr_40_packages_are_installed_by_hash():
    installs = re.findall(r"pip install(?:\\\n|[^\n])*", DOCKERFILE)

    assert len(installs) == 1
    assert "--require-hashes" in installs[0]


def test_an_image_runs_as_somebody_without_rights():
    assert said("USER") == ["10001:10001"]
    last = LINES.index("FROM on-${SERVICE} AS image")
    assert LINES.index("USER 10001:10001") > last
    assert said("ENTRYPOINT") == ['["/usr/local/bin/start"]']


def test_sr_18_the_cli_may_be_started_but_not_read():
    assert any("chmod 0711 /opt/copilot/copilot" in line for line in LINES)


def test_sr_37_no_secret_is_an_argument_or_in_the_environment():
    names = [value.partition("=")[0] for value in (*said("ARG"), *said("ENV"))]

    assert not [name for name in names if re.search("TOKEN|SECRET|KEY|PASSWORD|INDEX", name)]
    for mount in re.findall(r"--mount=type=secret\S+", DOCKERFILE):
        assert re.search("id=(ca|pip),", mount), mount


def test_every_service_has_a_stage_of_its_own():
    stages = {line.rpartition(" AS ")[2] for line in said("FROM")}

    assert {f"on-{name}" for name in (*SERVICES, *FOR_TESTS)} <= stages


def test_only_what_images_are_made_of_reaches_the_build():
    """An allow-list: .git, .env, .gca, .venv and tests stay out, whatever else comes."""
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[0] == "*"
    let_in = [line[1:] for line in lines if line.startswith("!")]
    assert set(let_in) == {
        *("libs", "services", "requirements", "tests", "LICENSE"),
        *("tests/__init__.py", "tests/simulators"),
    }
    assert "tests/*" in lines
    for name in (".git", ".env", ".gca", ".venv", "docs", "charts"):
        assert not any(fnmatch(name, pattern) for pattern in let_in)
