"""A mail sent after seconds or months: the promise of background tasks."""
