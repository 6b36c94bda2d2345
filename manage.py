#!/usr/bin/env python
"""Django's command line, for the example project."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command named in the arguments."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise ImportError(
            'Django is not installed in this Python. Install the project first: .venv/bin/pip install -e ".[demo]"'
        ) from error
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
