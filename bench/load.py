"""The load generator: `python -m bench.load`, a process of its own, told by its arguments.

Sends a fixed number of webhooks over a fixed number of connections, each its next one as soon as
it has an answer. Plain epoll, so that it takes as little of the machine as it can.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator

from bench.hooks import SECRET, Hooks

PATIENCE = 60.0


class Connections:
    """Keep-alive connections to one port, each with at most one request under way."""

    def __init__(self, port: int, count: int) -> None:
        self.poll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.answers: dict[int, bytes] = {}
        self.sent: dict[int, float] = {}
        for _ in range(count):
            made = socket.create_connection(("127.0.0.1", port))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets[made.fileno()] = made
            self.poll.register(made, select.EPOLLIN)

    def send(self, number: int, request: bytes) -> None:
        self.answers[number] = b""
        self.sent[number] = time.perf_counter()
        # A webhook fits into the socket's buffer, as its last answer is there already.
        self.sockets[number].sendall(request)

    def answered(self) -> Iterator[tuple[int, int, float]]:
        """Connections whose answer is complete, with its status and seconds."""
        ready = self.poll.poll(PATIENCE)
        if not ready:
            raise TimeoutError(f"no answer within {PATIENCE:.0f} s")
        for number, _ in ready:
            some = self.sockets[number].recv(65536)
            if not some:
                raise ConnectionError("the server closed a connection")
            self.answers[number] += some
            if is_complete(self.answers[number]):
                seconds = time.perf_counter() - self.sent[number]
                yield number, int(self.answers[number][9:12]), seconds


def is_complete(answer: bytes) -> bool:
    """Whether an HTTP/1.1 answer with a length is there in full."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    lengths = [
        line.partition(b":")[2]
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    return len(body) >= int(lengths[0]) if lengths else True


def requests(run: str, first: int, count: int, secret: str) -> list[bytes]:
    """Whole HTTP requests, made beforehand."""
    hooks = Hooks(run)
    made = []
    for number in range(first, first + count):
        body = hooks.body(number)
        head = (
            "POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            "User-Agent: GitLab/18.4.1\r\nX-Gitlab-Event: Merge Request Hook\r\n"
            f"X-Gitlab-Token: {secret}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


def run(port: int, connections: int, waiting: list[bytes]) -> dict[str, object]:
    """Send all; seconds from the first byte to the last answer, statuses, each one's seconds."""
    lines = Connections(port, min(connections, len(waiting)))
    statuses: Counter[int] = Counter()
    taken: list[float] = []
    waiting.reverse()
    began = time.perf_counter()
    for number in lines.sockets:
        lines.send(number, waiting.pop())
    busy = len(lines.sockets)
    while busy:
        for number, status, seconds in lines.answered():
            statuses[status] += 1
            taken.append(seconds)
            if waiting:
                lines.send(number, waiting.pop())
            else:
                busy -= 1
    total = time.perf_counter() - began
    taken.sort()
    return {
        "seconds": total,
        "statuses": statuses,
        "p50": taken[len(taken) // 2],
        "p99": taken[len(taken) * 99 // 100],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--run", required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--secret", default=SECRET)
    given = parser.parse_args()
    waiting = requests(given.run, given.first, given.count, given.secret)
    json.dump(run(given.port, given.connections, waiting), sys.stdout)


if __name__ == "__main__":
    main()
