"""Views that take signed events and answers to mailed forms."""
