"""
Views: what the world tells workflows over HTTP.

``webhooks`` takes signed events from other programs, each of which becomes one run; ``approvals`` takes answers from people,
who were sent a signed link.
"""
