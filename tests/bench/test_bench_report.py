"""What people and programs are shown of results, complete or not."""

import json
import socket
import sys
from xml.etree import ElementTree as ET

import pytest

from webchat.bench.client import Server
from webchat.bench.figures import Figures
from webchat.bench.limit import Limit
from webchat.bench.memory import resident_bytes
from webchat.bench.plot import svg
from webchat.bench.report import as_json, markdown, print_report
from webchat.bench.scenarios import COLD, HISTORY, LONG, SHORT, WARM, Plan, Results, Run
from webchat.bench.tables import notes, tables

SITE = Server("site", "http://127.0.0.1:8000", "sk-secret", "tiny")
PEER = Server("peer", "http://127.0.0.1:8001", "sk-hidden", "[b]other|one[/b]")


def figures(speed=80.0, **others):
    known = {
        "tokens_per_second": speed / 2,
        "ttft_p50": 0.1,
        "ttft_p95": 0.2,
        "together_p50": 0.11,
        "together_p95": 0.21,
        "gap_p95": 0.025,
        "answers": 3,
        "early": 0,
        "prompt_tokens": 100.0,
        "client_cpu": 0.004,
        "memory": 700_000_000,
    }
    return Figures(speed, **known | others)


def warm(server, round_, level=8, **values):
    return Run(WARM, level, 0, round_, server.name, figures(**values))


@pytest.fixture
def results():
    """Two rounds at 8 streams, and one history."""
    runs = [
        warm(SITE, 0, speed=90.0, together_p95=0.3),
        warm(PEER, 0, speed=60.0, together_p95=0.6),
        warm(PEER, 1, speed=80.0, together_p95=0.8, memory=None),
        warm(SITE, 1, speed=100.0, together_p95=0.2),
        warm(SITE, 0, level=1, speed=64.0),
        Run(HISTORY, SHORT, 50, 0, "site", figures(ttft_p50=0.1, prompt_tokens=120)),
        Run(HISTORY, LONG, 50, 0, "site", figures(ttft_p50=0.13, prompt_tokens=2030)),
    ]
    return Results(Plan(rounds=2), [SITE, PEER], Limit(20e9, 400_000_000), runs)


def rows(results, title):
    [table] = [table for table in tables(results) if table.title.startswith(title)]
    assert all(len(row) == len(table.headings) for row in table.rows)
    return [dict(zip(table.headings, row, strict=True)) for row in table.rows], [list(row) for row in table.rows]


def test_a_level_shows_the_medians_of_each_server(results):
    _, shown = rows(results, "Warm: one")
    assert shown == [
        ["1", "site", "64.0", "32.0", "100", "200", "110", "210", "25", "700"],
        ["8", "site", "95.0", "47.5", "100", "200", "110", "250", "25", "700"],
        ["8", "peer", "70.0", "35.0", "100", "200", "110", "700", "25", "700"],
    ]


def test_ratios_are_of_medians_and_show_the_rounds(results):
    shown, _ = rows(results, "Warm: site ÷ peer")
    assert [row["streams"] for row in shown] == ["8"]  # the peer was not measured at 1
    assert shown[0]["total output"] == "1.36 (1.25-1.50)"
    assert shown[0]["together p95"] == "0.36 (0.25-0.50)"
    assert shown[0]["TTFT p50"] == "1.00 (1.00-1.00)"


def test_a_history_compares_the_long_conversation_with_the_short_one(results):
    _, shown = rows(results, "Next turn")
    assert shown == [["50", "site", "100", "130", "1.30 (1.30-1.30)", "120 and 2030"]]


def test_the_notes_state_the_machines_limit_and_what_disturbs(results):
    results.runs.append(warm(SITE, 2, early=2, client_cpu=0.031))
    text = "\n".join(notes(results))
    assert "20.0 GB/s" in text
    assert "at most 50.0 tokens/s for one stream" in text
    assert "One stream of the site reaches 64% of that." in text
    assert "stream of the peer" not in text
    assert "2 of 24 answers ended before the limit of tokens." in text
    assert "at most 3.1% of one core" in text
    assert "sk-" not in text


def test_unknown_figures_are_a_dash():
    nothing = {"tokens_per_second": None, "gap_p95": None, "memory": None}
    found = Results(Plan(), [SITE], None, [Run(COLD, 1, 0, 0, "site", figures(**nothing))])
    _, shown = rows(found, "Cold")
    assert shown == [["1", "site", "80.0", "-", "100", "200", "-", "-"]]


def test_the_terminal_shows_names_as_they_are(results, capsys):
    print_report(results)
    shown = capsys.readouterr().out
    assert "[b]other|one[/b]" in shown
    assert "1.36 (1.25-1.50)" in shown
    assert "…" not in shown


def test_json_holds_every_run_and_no_key(results):
    results.error = "The peer broke off."
    text = as_json(results)
    found = json.loads(text)
    assert len(found["runs"]) == 7
    assert found["runs"][0]["figures"]["characters_per_second"] == 90.0
    assert found["runs"][0]["server"] == "site"
    assert found["servers"][1] == {"name": "peer", "url": PEER.url, "model": PEER.model}
    assert found["limit"]["tokens_per_second"] == 50
    assert found["error"] == "The peer broke off."
    assert "sk-" not in text


def test_markdown_says_how_it_was_made(results):
    text = markdown(results, "webchat bench --rounds 2")
    assert "\n    webchat bench --rounds 2\n" in text
    assert "| 8 | site | 95.0 |" in text
    assert "early" not in text
    results.error = "The peer broke off."
    assert "It ended early: The peer broke off." in markdown(results, "webchat bench")


def panels(results):
    root = ET.fromstring(svg(results))
    assert not [node for node in root.iter() if node.tag.endswith("script")]
    return root, [node.text for node in root.iter() if node.get("class", "") == "title plot_title"]


def test_the_plot_has_a_panel_for_each_figure_and_measured_scenario(results):
    root, titles = panels(results)
    assert [title.partition(":")[0] for title in titles] == ["Warm"] * 3
    results.runs.append(Run(COLD, 1, 0, 0, "site", figures()))
    wider, titles = panels(results)
    assert len(titles) == 6
    assert int(wider.get("width")) == 2 * int(root.get("width"))


@pytest.mark.parametrize("servers", [[], [SITE], [SITE, PEER]])
def test_before_the_first_run_there_is_nothing_to_show_and_nothing_breaks(servers):
    nothing = Results(Plan(), servers, None, [])
    assert tables(nothing) == []
    assert json.loads(as_json(nothing))["runs"] == []
    assert markdown(nothing, "webchat bench").startswith("# Benchmarks\n")
    assert panels(nothing)[1] == []


def test_drawing_leaves_the_imports_of_the_process_alone():
    assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("pygal")]


# ---- memory --------------------------------------------------------------------------------------


def test_the_memory_of_a_server_on_this_machine_is_seen():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert resident_bytes(f"http://127.0.0.1:{port}") > 1_000_000  # at least this very process
    assert resident_bytes(f"http://127.0.0.1:{port}") is None


def test_the_memory_of_another_machine_is_not():
    assert resident_bytes("https://models.example/v1") is None
