"""Texts that would like to be something else than text; none of them has a character that a database refuses."""

from __future__ import annotations

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    "'\"><svg onload=alert(4)>",
    "{{ 7|add:7 }}{% debug %}",
    "]]><!--<b>",
    "</pre></td></table><iframe src=javascript:alert(5)>",
    "</title></rect></svg><style>*{display:none}</style>",
    "\" onmouseover=alert(6) x=\"",
    "javascript:alert(7)",
    "&lt;b&gt;&#60;b&#62;",
    "\u202ereversed\u202c \u2066isolated\u2069 \u200bnothing\u200b",
    "\\u0000 \\ud800 \\u003cscript\\u003ealert(8)\\u003c/script\\u003e",
    '{"a":"\\u003cimg src=x onerror=alert(9)\\u003e","b":"\\ud800"}',
    '{"$":"type","name":"<b>","v":{"__class__":"os.system"}}',
    "9" * 5000,
    "-1e999999, 0x1p-1074, NaN, Infinity",
    "[" * 1000,
    '{"a":' * 1000,
    "\u0001\u0007\u001b[31mred\u001b[0m\u007f\u0085\u2028\u2029\ufeff\uffff",
    "a\nb\r\nc\td" + "\n" * 200,
    "e\u0301" * 300 + "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "%s %(x)s {0} {x!r} ${jndi:ldap://x} ../../etc/passwd",
    "' OR 1=1; DROP TABLE durable_workflows_workflowrun; --",
    "x" * 20_000,
]  # fmt: skip
