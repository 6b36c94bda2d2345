"""A search index built by a fan-out over a queue: the promise of data pipelines."""
