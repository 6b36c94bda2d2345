"""What every contender carries: 100 bytes of JSON."""

from __future__ import annotations

import json
from typing import Any

PAYLOAD: dict[str, Any] = {"order": 4711, "paid": True, "customer": "someone", "text": "x" * 36}

assert len(json.dumps(PAYLOAD)) == 100
