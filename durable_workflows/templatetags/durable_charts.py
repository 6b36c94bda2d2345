"""``{% durable_bars chart label %}``: a chart of ``admin.charts`` as SVG, and as a table for whoever does not see it."""

from __future__ import annotations

from typing import Any

from django import template

register = template.Library()


@register.inclusion_tag("admin/durable_workflows/dashboard/bars.html")
def durable_bars(chart: Any, label: str) -> dict[str, Any]:
    """
    Stacked bars.

    :param label: what they show.
    """
    bars = chart.bars
    ticks = [bars[place].label for place in (0, len(bars) // 3, 2 * len(bars) // 3, -1)] if bars else []
    return {"chart": chart, "label": label, "ticks": ticks, "filled": [bar for bar in bars if any(bar.numbers)]}
