"""The buttons of the Tiltfile: `python -m tests.cluster.buttons demo|webhook|replay DIR`.

DIR is what `tests.cluster.logins` made. They talk to the ports that the Tiltfile forwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import logins
from tests.cluster.tools import ROOT

GITLAB = "http://127.0.0.1:8929/-/sim"
WEBHOOK = "http://127.0.0.1:8000/webhook"
NATS = "nats://127.0.0.1:4222"


def demo(_: Path) -> None:
    """Open the demo merge request, or say where it is."""
    print(_ask("POST", "demo/open")["web_url"])  # noqa: T201


def webhook(folder: Path) -> None:
    """Send the newest hook of the simulated GitLab once more, as recorded there."""
    hooks = [one for one in _ask("GET", "deliveries") if one["url"]]
    if not hooks:
        sys.exit("GitLab has sent no webhook yet: open the demo merge request first")
    recorded = folder / "webhook.json"
    recorded.write_text(json.dumps(hooks[-1]["payload"]))
    secret = json.loads((folder / logins.VALUES).read_text())["logins"]["webhook"]
    _gca("webhook", "send", str(recorded), "--url", WEBHOOK, GITLAB_WEBHOOK_SECRET=secret)


def replay(folder: Path) -> None:
    """Everything that was seen in the last hour, once more; reviews of the same head follow."""
    secrets = yaml.safe_load_all((folder / logins.NATS / "secrets.yaml").read_text())
    [ops] = [one for one in secrets if one["metadata"]["name"] == "gca-nats-ops"]
    seed = folder / "ops.nk"
    seed.touch(mode=0o600)
    seed.write_text(ops["stringData"]["nats.nk"])
    login = {"NATS_URL": NATS, "NATS_CREDENTIALS": str(seed)}
    _gca("replay", "mr.opened.>", "--since", "1h", "--yes", **login)


def _ask(method: str, path: str) -> Any:
    request = urllib.request.Request(f"{GITLAB}/{path}", method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def _gca(*arguments: str, **environment: str) -> None:
    own = {"GCA_DOTENV": os.devnull} | environment
    command = [sys.executable, "-m", "services.ops", *arguments]
    sys.exit(subprocess.run(command, cwd=ROOT, env=os.environ | own, check=False).returncode)


if __name__ == "__main__":
    {"demo": demo, "webhook": webhook, "replay": replay}[sys.argv[1]](Path(sys.argv[2]))
