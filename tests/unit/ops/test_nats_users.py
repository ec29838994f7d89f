"""`gca nats-users`: a key pair for each user, seeds for its owner's eyes and one Secret each."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest
import yaml

from libs.common.errors import AgentError
from libs.common.jetstream import permissions
from libs.common.jetstream.credentials import login
from services.ops import nats_users
from services.ops.terminal import terminal


def made(out: Path, prefix: str = "gca") -> str:
    said = io.StringIO()
    assert 0 == nats_users.run(out, prefix, terminal(said, said, {}))
    return said.getvalue()


def secrets_in(out: Path) -> dict[str, dict[str, str]]:
    documents = yaml.safe_load_all((out / "secrets.yaml").read_text())
    return {one["metadata"]["name"]: one["stringData"] for one in documents}


def test_each_user_gets_a_public_key_and_a_secret_with_its_seed(tmp_path):
    made(tmp_path / "new")

    values = yaml.safe_load((tmp_path / "new/users.yaml").read_text())
    alone = yaml.safe_load((tmp_path / "new/users-nats.yaml").read_text())
    secrets = secrets_in(tmp_path / "new")
    assert list(permissions.NAMES) == list(values["nats"]["users"])
    assert values["nats"] == alone
    assert len(permissions.NAMES) == len(set(alone["users"].values()))
    assert [f"gca-nats-{name}" for name in (*permissions.NAMES, "routes")] == list(secrets)
    for name in permissions.NAMES:
        file = tmp_path / "nats.nk"
        file.write_text(secrets[f"gca-nats-{name}"]["nats.nk"])
        assert {"nkeys_seed": str(file)} == login(file)
    assert 48 == len(secrets["gca-nats-routes"]["password"])


def test_sr_37_only_the_owner_may_read_the_files_and_no_seed_is_printed(tmp_path):
    said = made(tmp_path / "new")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    assert {"users.yaml": 0o600, "users-nats.yaml": 0o600, "secrets.yaml": 0o600} == modes
    assert 0o700 == stat.S_IMODE((tmp_path / "new").stat().st_mode)
    seeds = [value for one in secrets_in(tmp_path / "new").values() for value in one.values()]
    assert [] == [seed for seed in seeds if seed in said]


def test_what_to_do_next_names_the_files(tmp_path):
    said = made(tmp_path)

    assert f"kubectl apply -n NAMESPACE -f {tmp_path}/secrets.yaml" in said
    assert f"charts/stack -n NAMESPACE -f values.yaml -f {tmp_path}/users.yaml" in said
    assert f"charts/nats -n NAMESPACE -f {tmp_path}/users-nats.yaml" in said


def test_keys_that_may_be_in_use_are_never_overwritten(tmp_path):
    made(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "users.yaml").unlink()

    with pytest.raises(AgentError, match=r"secrets\.yaml: there already.*--out"):
        made(tmp_path)

    before.pop(tmp_path / "users.yaml")
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(AgentError, match=r"cannot write .*file/new"):
        made(tmp_path / "file/new")


def test_names_begin_with_the_prefix_of_the_charts(tmp_path):
    made(tmp_path, "bot")

    assert {"bot-nats-ingest", "bot-nats-routes"} <= secrets_in(tmp_path).keys()
