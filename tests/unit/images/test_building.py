"""How images are named and built: the commands, and what they are made of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.ops import images
from services.ops.images import Order, build_command, order_of, readable, save_command
from tests.cluster.images.building import files, inputs

ROOT = Path(__file__).parents[3]
LOCK = re.compile(r"^(?! *#).*$", re.MULTILINE)


def test_an_image_is_named_by_registry_service_and_tag():
    order = order_of({"IMAGE_TAG": "1.2", "IMAGE_REGISTRY": "registry.example.com/team/"}, "podman")

    assert order.name("coder") == "registry.example.com/team/gitlab-copilot-agent/coder:1.2"
    assert Order(tool="docker", tag="1").name("ops") == "gitlab-copilot-agent/ops:1"


def test_without_a_tag_it_is_the_version_of_the_project():
    assert order_of({}, "docker").tag == images.version()


def test_what_is_not_given_stays_as_the_dockerfile_has_it():
    command = build_command(Order(tool="docker", tag="1"), "runner")

    assert command[:4] == ["docker", "buildx", "build", "--load"]
    assert "SERVICE=runner" in command
    assert not [word for word in command if word.startswith(("BASE=", "NODE=", "OWNER="))]
    assert "--secret" not in command


def test_sr_37_files_of_the_build_are_secrets_and_no_arguments():
    order = Order(tool="buildah", tag="1", ca="/ca.pem", pip_conf="/pip.conf")

    command = build_command(order, "ingest")

    secrets = [command[at + 1] for at, word in enumerate(command) if word == "--secret"]
    assert secrets == ["id=ca,src=/ca.pem", "id=pip,src=/pip.conf"]
    assert not [word for word in command if word.startswith(("PIP", "CA"))]


@pytest.mark.parametrize("tool", images.TOOLS)
def test_each_tool_writes_an_archive_with_the_image_s_name(tool):
    order = Order(tool=tool, tag="1")

    command = save_command(order, "ingest", Path("/tars/ingest.tar"))

    assert command[0] == tool
    assert "gitlab-copilot-agent/ingest:1" in command[-1]
    assert any("/tars/ingest.tar" in word for word in command)


def test_services_that_share_packages_have_the_same_lock():
    for service, other in images.LOCKS.items():
        if service in images.SERVICES:
            one, two = (
                LOCK.findall((ROOT / "requirements" / f"{name}.txt").read_text())
                for name in (service, other)
            )
            assert one == two, f"{service} no longer has the packages of {other}"


def test_sizes_are_shown_in_megabytes():
    assert readable("201234567") == "201 MB"
    assert readable("201 MB") == "201 MB"


def test_an_image_is_made_again_only_when_its_own_files_change(tmp_path):
    for name in ("Dockerfile", ".dockerignore", "requirements/ingest.txt", "libs/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    before = inputs(tmp_path, "ingest", ("base",))
    (tmp_path / "services/publisher").mkdir(parents=True)
    (tmp_path / "services/publisher/b.py").write_text("y")
    assert before == inputs(tmp_path, "ingest", ("base",))
    assert before != inputs(tmp_path, "ingest", ("another base",))

    (tmp_path / "libs/a.py").write_text("z")

    assert before != inputs(tmp_path, "ingest", ("base",))


def test_each_image_is_made_of_its_own_code():
    own = {service: files(ROOT, service) for service in (*images.SERVICES, *images.FOR_TESTS)}

    for service, found in own.items():
        assert all(file.is_file() for file in found), service
    others = [path for path in own["ingest"] if "services/publisher" in str(path)]
    assert others == []
    assert not any("services" in path.parts for path in own["simulators"])
