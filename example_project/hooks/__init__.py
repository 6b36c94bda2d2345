"""A signed webhook that handles each event once: the promise of webhooks and notifications."""
