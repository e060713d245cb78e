"""Tasks are read or refused with a sentence; figures are what one counts by hand."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from webchat.answering.faq.evaluation import BadTask, Prediction, Query, Task, figures, predict, read_task
from webchat.cli import main


def write(folder, **files):
    for name, rows in files.items():
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    return folder


BASE = [{"id": "a", "question": "怎么退货？"}, {"id": 2, "question": "几天发货？"}]
QUERIES = [
    {"query": "怎么退货", "id": "a"},
    {"query": "多久发货", "id": None, "also": [2]},
    {"query": "那呢", "id": None, "context": "怎么退货"},
]


def test_a_task_has_entries_more_phrasings_and_questions(tmp_path):
    task = read_task(write(tmp_path, base=BASE, queries=QUERIES, alternates=[{"id": "a", "question": "退货流程"}]))
    assert task.phrasings == [("a", "怎么退货？"), (2, "几天发货？"), ("a", "退货流程")]
    assert task.queries == [
        Query("怎么退货", None, frozenset("a")),
        Query("多久发货", None, frozenset([2])),
        Query("那呢", "怎么退货", frozenset()),
    ]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"queries": QUERIES}, "base.jsonl cannot be read: No such file or directory."),
        ({"base": [], "queries": QUERIES}, "base.jsonl has no entries."),
        ({"base": [*BASE, "{"], "queries": QUERIES}, "base.jsonl, line 3: this is no JSON object."),
        ({"base": [*BASE, "[1]"], "queries": QUERIES}, "base.jsonl, line 3: this is no JSON object."),
        ({"base": [{"id": "a"}], "queries": QUERIES}, "base.jsonl, line 1: there is no 'question'."),
        ({"base": BASE, "queries": [], "alternates": [{"id": 3, "question": "?"}]}, "base.jsonl has no entry 3."),
        ({"base": BASE, "queries": ['{"query": "?", "also": 3}']}, "'also' is a list, 'context' a text."),
        ({"base": BASE, "queries": ['{"id": "a"}']}, "queries.jsonl, line 1: there is no 'query'."),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(tmp_path, files, sentence):
    with pytest.raises(BadTask) as refused:
        read_task(write(tmp_path, **files))
    assert str(refused.value).endswith(sentence)


def test_figures_are_what_one_counts():
    right = frozenset("a")
    task = Task([("a", "?")], [Query("1", None, right), Query("2", None, right), Query("3", None, frozenset())])
    said = [Prediction("ab", 0.9, "answer"), Prediction("ba", 0.5, "suggest"), Prediction("b", 0.7, "answer")]
    result = figures(task, said)
    assert (result.queries, result.in_scope, result.top1) == (3, 2, 0.5)
    assert result.covered == [0.5, 0.5, 0.5]
    assert (result.answered, result.wrong, result.suggested) == (0.5, 1 / 3, 1.0)
    assert result.curve == [(0.5, 0), (0.5, 1 / 3), (0.5, 2 / 3)]


def test_equal_scores_share_a_bar():
    task = Task([("a", "?")], [Query("1", None, frozenset("a")), Query("2", None, frozenset())])
    result = figures(task, [Prediction("a", 0.5, "answer"), Prediction("a", 0.5, "answer")])
    assert result.curve == [(1.0, 0.5)]


def test_the_matcher_is_asked_as_the_site_asks_it(tmp_path):
    said = predict(read_task(write(tmp_path, base=BASE, queries=QUERIES)), None)
    assert (said[0].top[0], said[0].band) == ("a", "answer")
    assert said[0].score > said[1].score
    assert json.loads(said[0].as_line()).keys() == {"id", "score", "band", "top"}


def test_the_command_writes_a_line_for_every_question_and_opens_no_database(tmp_path, monkeypatch):
    monkeypatch.setenv("WEBCHAT_ENCODER", "none")
    monkeypatch.setenv("WEBCHAT_DATABASE_URL", "sqlite:////nowhere/at/all.db")
    write(tmp_path, base=BASE, queries=QUERIES)
    done = CliRunner().invoke(main, ["faq", "evaluate", str(tmp_path), "--out", str(tmp_path / "out.jsonl")])
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [line["id"] for line in lines][:2] == ["a", 2]
    assert "best one right     100.0%" in done.stdout
    assert "letters and sounds" in done.stderr


@pytest.mark.parametrize(("task", "out"), [("nowhere", "out.jsonl"), (".", "nowhere/out.jsonl")])
def test_the_command_refuses_with_a_sentence_and_leaves_nothing_behind(tmp_path, monkeypatch, task, out):
    monkeypatch.setenv("WEBCHAT_ENCODER", "none")
    write(tmp_path, base=BASE, queries=QUERIES)
    before = set(tmp_path.rglob("*"))
    done = CliRunner().invoke(main, ["faq", "evaluate", str(tmp_path / task), "--out", str(tmp_path / out)])
    assert done.exit_code == 1
    assert "No such file or directory" in done.stderr
    assert set(tmp_path.rglob("*")) == before
