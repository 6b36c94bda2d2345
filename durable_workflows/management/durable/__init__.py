"""
What ``manage.py durable`` does, one file per group of subcommands.

Each translates argv to the public functions, and what they tell to a screen or to JSON. ``commands/durable.py`` composes.
"""
