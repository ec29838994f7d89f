"""A small git server over HTTP that can misbehave: `git http-backend` behind a mood.

For the tests of the git door only; the simulated GitLab has a well-behaved one.
"""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

PAGE = b"<!DOCTYPE html>\n<html>\n<head><title>Maintenance of this server</title></head>\n</html>\n"


@dataclass
class Mood:
    """What the server does instead of serving; `seen` has the headers of every request."""

    token: str = ""
    status: int = 0
    html: bool = False
    redirect_to: str = ""
    hang: bool = False
    cut_pack: bool = False
    only_old_protocol: bool = False
    seen: list[dict[str, str]] = field(default_factory=list)
    hanging: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def asked_with_credentials(self) -> list[dict[str, str]]:
        return [seen for seen in self.seen if "authorization" in seen]


@dataclass(frozen=True)
class GitServer:
    url: str
    mood: Mood


@contextmanager
def serving(root: Path, mood: Mood | None = None) -> Iterator[GitServer]:
    mood = mood or Mood()

    class Handler(_Handler):
        pass

    Handler.mood, Handler.root = mood, root
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield GitServer(f"http://127.0.0.1:{server.server_port}", mood)
    finally:
        mood.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    mood: Mood
    root: Path

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            return self._serve(self._chunks())
        return self._serve(self.rfile.read(int(self.headers["Content-Length"])))

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        return b"".join(parts)

    def _serve(self, body: bytes) -> None:
        mood = self.mood
        mood.seen.append({name.lower(): value for name, value in self.headers.items()})
        if mood.hang:
            mood.hanging.set()
            mood.release.wait(30)
            return None
        if mood.redirect_to:
            return self._answer(302, {"Location": mood.redirect_to + self.path})
        if mood.status:
            return self._answer(mood.status, {"Content-Type": "text/html"}, b"<html>no</html>")
        if mood.html:
            return self._answer(200, {"Content-Type": "text/html"}, PAGE)
        if mood.token and not self._known():
            return self._answer(401, {"WWW-Authenticate": 'Basic realm="GitLab"'})
        return self._backend(body)

    def _known(self) -> bool:
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return False
        return base64.b64decode(value).decode().partition(":")[2] == self.mood.token

    def _backend(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        protocol = "" if self.mood.only_old_protocol else self.headers.get("Git-Protocol", "")
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            check=False,  # a refused want ends it with 1, after the answer
            env={
                "PATH": os.environ["PATH"],
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_PROJECT_ROOT": str(self.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": protocol,
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "REMOTE_ADDR": "127.0.0.1",
            },
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        if self.mood.cut_pack and self.command == "POST" and b"PACK" in content:
            content = content[: len(content) // 2]
        self._answer(status, headers, content)

    def _answer(self, status: int, headers: dict[str, str], content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
