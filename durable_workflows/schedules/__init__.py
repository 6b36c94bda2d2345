"""
Which instants a schedule names, as values: cron expressions, intervals, and the two within their dates.

No clock and no database: whoever asks brings the moment, so that every worker finds the same ticks.
"""

from __future__ import annotations

from durable_workflows.schedules.cron import CronSchedule
from durable_workflows.schedules.intervals import IntervalSchedule
from durable_workflows.schedules.timetables import Timetable

__all__ = ["CronSchedule", "IntervalSchedule", "Timetable"]
