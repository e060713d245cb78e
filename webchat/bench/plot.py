"""Results as one SVG: a row for each figure, a column for warm and cold, bars for each level and server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pygal
from pygal.style import Style

from webchat.bench.scenarios import COLD, WARM
from webchat.bench.tables import middle

if TYPE_CHECKING:
    from webchat.bench.scenarios import Results

# pygal looks for its maps by hooking into every later import of the process, in a way that newer Pythons warn about.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]

_WIDTH, _HEIGHT = 760, 340
_ROWS = (
    ("characters/s, all streams together", "characters_per_second", 1.0),
    ("milliseconds to the first text, p95", "ttft_p95", 1e3),
    ("milliseconds between pieces of text, p95", "gap_p95", 1e3),
)
_STYLE = Style(
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


def svg(results: Results) -> str:
    """Draw the levels of what was measured; a scenario that was not has no column."""
    scenarios = [scenario for scenario in (WARM, COLD) if results.levels(scenario)]
    panels = [
        _placed(_chart(results, scenario, title, attribute, factor), column, row)
        for column, scenario in enumerate(scenarios)
        for row, (title, attribute, factor) in enumerate(_ROWS)
    ]
    width, height = max(1, len(scenarios)) * _WIDTH, len(_ROWS) * _HEIGHT
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(panels)}</svg>\n'


def _chart(results: Results, scenario: str, title: str, attribute: str, factor: float) -> str:
    levels = results.levels(scenario)
    chart = pygal.Bar(
        title=f"{scenario.capitalize()}: {title}",
        x_title="streams at once",
        style=_STYLE,
        width=_WIDTH,
        height=_HEIGHT,
        legend_at_bottom=True,
        max_scale=6,
        print_values=True,
        print_values_position="top",
        value_formatter=lambda value: f"{value:.0f}",
        js=(),
    )
    chart.add_xml_filter(_without_scripts)
    chart.x_labels = [str(level) for level in levels]
    for server in results.servers:
        values = [middle(results.of(scenario, level, server.name), attribute) for level in levels]
        chart.add(server.name, [None if value is None else value * factor for value in values])
    return str(chart.render(is_unicode=True, disable_xml_declaration=True))


def _without_scripts(root: Any) -> Any:
    """Whoever opens the picture looks at it: what would make it react to a mouse is left out."""
    defs = root.find("defs")
    for script in defs.findall("script"):
        defs.remove(script)
    return root


def _placed(chart: str, column: int, row: int) -> str:
    place = f'x="{column * _WIDTH}" y="{row * _HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    return f"<svg {place}>{chart}</svg>"
