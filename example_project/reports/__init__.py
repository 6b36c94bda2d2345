"""An hourly job: the promise of cron jobs."""
