"""Images made of one program, as the image specification of the Open Container Initiative says."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from tests.cluster.machine import archives


def blobs(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {
            member.name: file.read()
            for member in tar.getmembers()
            if (file := tar.extractfile(member)) is not None
        }


def made(tmp_path: Path) -> dict[str, bytes]:
    (tmp_path / "pause").write_bytes(b"a program")
    archives.write(tmp_path / "pause.tar", "gca/pause:1", tmp_path / "pause")
    return blobs(tmp_path / "pause.tar")


def test_every_blob_lies_under_its_own_digest(tmp_path: Path) -> None:
    found = {name: body for name, body in made(tmp_path).items() if name.startswith("blobs/")}

    assert 3 == len(found)
    assert set(found) == {
        f"blobs/sha256/{hashlib.sha256(body).hexdigest()}" for body in found.values()
    }


def test_the_index_leads_to_the_program_under_its_full_name(tmp_path: Path) -> None:
    files = made(tmp_path)

    def at(described: dict[str, Any]) -> bytes:
        return files["blobs/sha256/" + described["digest"].removeprefix("sha256:")]

    entry = json.loads(files["index.json"])["manifests"][0]
    manifest = json.loads(at(entry))
    with tarfile.open(fileobj=io.BytesIO(at(manifest["layers"][0]))) as layer:
        program = layer.getmember("pause")

    assert "docker.io/gca/pause:1" == entry["annotations"]["io.containerd.image.name"]
    assert ["/pause"] == json.loads(at(manifest["config"]))["config"]["Entrypoint"]
    assert (0o755, 9) == (program.mode, program.size)


def test_the_same_program_gives_the_same_archive(tmp_path: Path) -> None:
    assert made(tmp_path) == made(tmp_path)
