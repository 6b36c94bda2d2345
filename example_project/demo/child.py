"""
The demo's processes: ``python -m example_project.demo.child <command> ...``.

It is ``manage.py``, and with ``web <descriptor>`` the web server; both end when the demo does, however that ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from django.core.management import execute_from_command_line

from example_project.demo import fuse, stage, web


def main() -> None:
    """Run the command in the arguments."""
    threading.Thread(target=end_with_the_demo, name="leash", daemon=True).start()
    fuse.light()
    sys.argv = ["manage.py", *sys.argv[1:]]
    if sys.argv[1] == "web":
        web.serve(int(sys.argv[2]))
    execute_from_command_line(sys.argv)


def end_with_the_demo() -> None:
    """Standard input is a pipe from the demo, which never writes: it ends when the demo has died, even by SIGKILL."""
    while os.read(0, 1):
        pass
    if place := stage.current():
        place.clear()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
