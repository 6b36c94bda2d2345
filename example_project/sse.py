"""
A run's stream as server-sent events, which a browser's ``EventSource`` reads.

Each value is an event whose id is its offset. A browser that was cut off comes again with the id of the last one it got
(``Last-Event-ID``), and goes on after it. Meanwhile a comment is sent now and then: proxies keep the line open, and it is
by writing that a server learns that nobody reads any more.

For a WSGI server with threads, of which a reader keeps one; ``read_stream`` gives the database connection back while it
waits. Under ASGI Django would gather a plain iterator before it sends any of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from django.db import connection
from django.http import HttpRequest, StreamingHttpResponse

from durable_workflows import StreamTimeout, read_stream

HEARTBEAT_SECONDS = 15.0


def stream_response(request: HttpRequest, run_id: str, key: str) -> StreamingHttpResponse:
    """The answer to a browser that follows a stream; the run must exist."""
    response = StreamingHttpResponse(events(run_id, key, next_offset(request)), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would gather it
    return response


def next_offset(request: HttpRequest) -> int:
    """Where to go on: after the last event that the browser got."""
    last = request.headers.get("Last-Event-ID", "")
    return int(last) + 1 if last.isascii() and last.isdigit() and len(last) < 16 else 0


def events(run_id: str, key: str, offset: int) -> Iterator[str]:
    """The stream from an offset on, as text; "end" is the last event."""
    try:
        ended = False
        while not ended:
            try:
                for value in read_stream(run_id, key, offset, timeout_seconds=HEARTBEAT_SECONDS):
                    yield f"id: {offset}\ndata: {json.dumps(value)}\n\n"
                    offset += 1
                ended = True
            except StreamTimeout:
                yield ": nothing yet\n\n"
        yield "event: end\ndata:\n\n"
    finally:
        connection.close()  # also when the browser has gone
