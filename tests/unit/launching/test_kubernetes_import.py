"""Services whose Jobs are local do not pay for the client library of Kubernetes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.real
@pytest.mark.parametrize("service", ["reviewer", "coder"])
def test_a_service_does_not_import_the_client_library_until_it_calls(service):
    code = (
        f"import sys, services.{service}.wiring; "
        "print([name for name in ('kubernetes_asyncio', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
