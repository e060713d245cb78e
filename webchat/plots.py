"""Plots as SVG: the one door to pygal.

Whoever opens such a picture looks at it, so what would make it react to a mouse is left out.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pygal
from pygal.style import CleanStyle, Style

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# pygal looks for its maps by hooking into every later import of the process, in a way that newer Pythons warn about.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]

_SERVERS = Style(
    background="white",
    plot_background="white",
    font_family="sans-serif",
    colors=("#1f5fa8", "#e08a1e"),  # told apart also by people who do not see red or green
    opacity="1",
    guide_stroke_color="#ddd",
    major_guide_stroke_color="#ddd",
    label_font_size=13,
    major_label_font_size=13,
    value_font_size=11,
    value_colors=("#222", "#222"),
    title_font_size=16,
    legend_font_size=14,
)


def bars(**options: Any) -> pygal.Bar:
    """An empty chart with a group of bars for each label; options are pygal's."""
    return _still(pygal.Bar(style=_SERVERS, legend_at_bottom=True, js=(), **options))


def points(**options: Any) -> pygal.XY:
    """An empty chart of points in a plane; options are pygal's."""
    return _still(pygal.XY(style=CleanStyle, legend_at_bottom=True, js=(), **options))


def _still(chart: Any) -> Any:
    chart.add_xml_filter(_without_scripts)
    return chart


def _without_scripts(drawing: Element) -> Element:
    """The library leaves its settings in every file, for a script of its own that is not there."""
    for parent in drawing.iter():
        for script in parent.findall("script"):
            parent.remove(script)
    return drawing
