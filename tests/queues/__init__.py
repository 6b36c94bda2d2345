"""Whether queues keep their limits with real worker processes, as ledgers of the database's own tell it."""
