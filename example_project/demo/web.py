"""
Django's development server on a socket that is open already.

The demo opens it, so the port is surely its own: ``runserver`` would find out only later, when another program, or another
demo, may be answering there.
"""

from __future__ import annotations

import socket
from typing import Any, cast

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application


def listen(first_port: int, how_many: int) -> socket.socket | None:
    """A socket on the first of these ports on this machine that is free; None if none is."""
    for port in range(first_port, min(first_port + how_many, 65536)):
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:  # taken, or not ours to take
            continue
    return None


def serve(descriptor: int) -> None:
    """Answer on the listening socket that this process inherited, for ever."""
    listening = socket.socket(fileno=descriptor)
    server = _Server(listening.getsockname(), WSGIRequestHandler, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.server_bind()
    server.set_app(cast(Any, StaticFilesHandler(get_wsgi_application())))
    server.serve_forever()


class _Server(ThreadedWSGIServer):
    def server_bind(self) -> None:
        """Only what follows the binding: the socket is bound."""
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)
        self.setup_environ()
