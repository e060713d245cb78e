"""Results as one SVG: a row for each figure, a column for warm and cold, bars for each level and server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webchat.bench.scenarios import COLD, WARM
from webchat.bench.tables import middle
from webchat.plots import bars

if TYPE_CHECKING:
    from webchat.bench.scenarios import Results

_WIDTH, _HEIGHT = 760, 340
_ROWS = (
    ("characters/s, all streams together", "characters_per_second", 1.0),
    ("milliseconds to the first text, p95", "ttft_p95", 1e3),
    ("milliseconds between pieces of text, p95", "gap_p95", 1e3),
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
    chart = bars(
        title=f"{scenario.capitalize()}: {title}",
        x_title="streams at once",
        width=_WIDTH,
        height=_HEIGHT,
        max_scale=6,
        print_values=True,
        print_values_position="top",
        value_formatter=lambda value: f"{value:.0f}",
    )
    chart.x_labels = [str(level) for level in levels]
    for server in results.servers:
        values = [middle(results.of(scenario, level, server.name), attribute) for level in levels]
        chart.add(server.name, [None if value is None else value * factor for value in values])
    return str(chart.render(is_unicode=True, disable_xml_declaration=True))


def _placed(chart: str, column: int, row: int) -> str:
    place = f'x="{column * _WIDTH}" y="{row * _HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    return f"<svg {place}>{chart}</svg>"
