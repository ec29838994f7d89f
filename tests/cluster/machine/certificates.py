"""The keys of a cluster: authority, server, administrator, accounts. Used by `life`.

Made anew with each cluster by the openssl command, valid for thirty days, gone with the state.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cluster.machine.addresses import Addresses
from tests.cluster.machine.configuration import NODE_NAME

DAYS = "30"


def names(addresses: Addresses) -> str:
    """Under which the API server and the kubelet answer: by tests, by pods, by each other."""
    service = [f"kubernetes{part}" for part in ("", ".default", ".default.svc")]
    hosts = [*service, "kubernetes.default.svc.cluster.local", NODE_NAME]
    numbers = [addresses.node, addresses.kubernetes, "127.0.0.1"]
    return ",".join([f"DNS:{name}" for name in hosts] + [f"IP:{number}" for number in numbers])


def write(folder: Path, addresses: Addresses) -> None:
    folder.mkdir(mode=0o700, parents=True)
    _key(folder / "accounts.key")
    _key(folder / "ca.key")
    _openssl(
        *("req", "-x509", "-new", "-key", str(folder / "ca.key"), "-days", DAYS),
        *("-subj", "/CN=gca-cluster", "-out", str(folder / "ca.crt")),
    )
    _certificate(
        folder,
        "server",
        "/CN=kube-apiserver",
        f"subjectAltName={names(addresses)}\nextendedKeyUsage=serverAuth\n",
    )
    _certificate(folder, "admin", "/O=system:masters/CN=admin", "extendedKeyUsage=clientAuth\n")


def _certificate(folder: Path, name: str, subject: str, extensions: str) -> None:
    request, wanted = folder / f"{name}.csr", folder / f"{name}.ext"
    wanted.write_text(extensions)
    _key(folder / f"{name}.key")
    _openssl(
        *("req", "-new", "-key", str(folder / f"{name}.key"), "-subj", subject),
        *("-out", str(request)),
    )
    _openssl(
        *("x509", "-req", "-in", str(request), "-days", DAYS, "-extfile", str(wanted)),
        *("-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"), "-CAcreateserial"),
        *("-out", str(folder / f"{name}.crt")),
    )


def _key(file: Path) -> None:
    _openssl("genrsa", "-out", str(file), "2048")


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr.strip()[-500:]}")
