"""A nats-server that speaks TLS, with a certificate of a test's own authority."""

from __future__ import annotations

import json

import trustme

from libs.common.jetstream.server import NatsServer


class Guarded(NatsServer):
    """Speaks TLS with the certificate in `tls.pem`, while `guarded`."""

    guarded = True

    @property
    def url(self) -> str:
        return super().url.replace("nats://", "tls://")

    def configuration(self) -> str:
        options = json.loads(super().configuration())
        pem = str(self.store / "tls.pem")
        tls = {"tls": {"cert_file": pem, "key_file": pem}} if self.guarded else {}
        return json.dumps(options | tls)

    def certify(self, authority: trustme.CA, name: str) -> None:
        issued = authority.issue_cert(name)
        issued.private_key_and_cert_chain_pem.write_to_path(str(self.store / "tls.pem"))
