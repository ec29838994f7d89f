"""What makes a pod a wall around a session with a shell (SR-18): the decision."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from services.runner.pod import Place, lacking

SAFE = Place(
    user=10001,
    hidden=True,
    capabilities=0,
    may_gain=False,
    cli=Path("/opt/copilot/copilot"),
    cli_owner=0,
    cli_readable=False,
    cli_starts=True,
)


def test_sr_18_the_runner_s_image_in_its_security_context_is_a_wall():
    assert lacking(SAFE) == ""


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"user": 0}, "runAsNonRoot"),
        ({"capabilities": 0x80000}, "drop ALL"),
        ({"may_gain": True}, "allowPrivilegeEscalation"),
        ({"hidden": False}, "PR_SET_DUMPABLE"),
        ({"cli_starts": False}, "may not be started by user 10001"),
        ({"cli_readable": True}, "mode 0711"),
        ({"cli_owner": 10001}, "belong to root"),
    ],
)
def test_sr_18_whatever_is_lacking_is_named_with_its_mend(change, word):
    assert word in lacking(msgspec.structs.replace(SAFE, **change))
