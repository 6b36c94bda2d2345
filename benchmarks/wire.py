"""
Round trips, counted on the wire between a driver and PostgreSQL: the same for every driver, whatever it pipelines.

A round trip is a client's burst of bytes after the server has said something. Used in a counted pass only; a timed one
goes to the server directly.
"""

from __future__ import annotations

import socket
import threading
from typing import Self
from urllib.parse import urlsplit


class CountingProxy:
    """
    A port that forwards to the server of ``url``; a context manager.

    ``trips`` counts the round trips of all connections through it.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        self.url = parts._replace(netloc=f"{login}127.0.0.1:{port}").geturl()
        self.trips = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:  # closed
                return
            _Connection(self, client, socket.create_connection(self._server)).start()

    def count(self) -> None:
        """One more."""
        with self._lock:
            self.trips += 1


class _Connection:
    """Two threads, one for each direction."""

    def __init__(self, proxy: CountingProxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answered = True

    def start(self) -> None:
        for work in (self._requests, self._answers):
            threading.Thread(target=work, daemon=True).start()

    def _requests(self) -> None:
        while data := _receive(self.client):
            if self.answered:
                self.answered = False
                self.proxy.count()
            self.server.sendall(data)
        self._end()

    def _answers(self) -> None:
        while data := _receive(self.server):
            self.answered = True
            self.client.sendall(data)
        self._end()

    def _end(self) -> None:
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other direction was faster
                pass


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except OSError:  # reset by the peer, which is an end too
        return b""
