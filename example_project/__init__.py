"""A small Django project that shows each promise of ``durable_workflows`` on a page of its own."""
