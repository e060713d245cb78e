"""How well the matcher does on questions whose answers are known.

A task is a folder with ``base.jsonl`` (``{"id", "question"}`` for each entry), ``queries.jsonl`` (``{"query", "id"}``,
the id null where no entry answers; ``also`` lists further right ids, ``context`` is the question before) and, where
there is one, ``alternates.jsonl`` (further phrasings, as the base).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webchat.answering.faq.matcher import Matcher
from webchat.answering.faq.rows import Phrasing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from webchat.answering.faq.matcher import Band
    from webchat.engine.encoders import Encoder

Id = str | int
WRONG = (0.01, 0.02, 0.05)  # shares of wrong answers at which coverage is told
_SUGGESTED = 3


class BadTask(Exception):  # noqa: N818 - named for what it is to the person who typed the folder
    """A task cannot be read; the message is a sentence that says where and why."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question, what it leans on, and which entries answer it: none, where nothing does."""

    text: str
    context: str | None
    right: frozenset[Id]


@dataclass(frozen=True, slots=True)
class Task:
    """Entries' phrasings by their ids, and the questions."""

    phrasings: Sequence[tuple[Id, str]]
    queries: Sequence[Query]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the matcher says to a query: the best candidates' ids, the first one's score, and the band."""

    top: Sequence[Id]
    score: float
    band: Band

    def as_line(self) -> str:
        """One line of JSON."""
        best = self.top[0] if self.top else None
        return json.dumps({"id": best, "score": self.score, "band": self.band, "top": self.top}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Figures:
    """Shares between 0 and 1: ``wrong`` of all queries, the others of those that an entry answers.

    Attributes:
        queries: how many.
        in_scope: how many of them an entry answers.
        top1: the best candidate is right.
        covered: answered rightly at the best bar that answers at most so many of all queries wrongly, by ``WRONG``.
        answered: answered rightly by the live band.
        wrong: answered wrongly by the live band.
        suggested: the right entry is among three that are answered or suggested.
        curve: coverage and share of wrong answers for every bar.
    """

    queries: int
    in_scope: int
    top1: float
    covered: Sequence[float]
    answered: float
    wrong: float
    suggested: float
    curve: Sequence[tuple[float, float]]


def read_entries(place: Path) -> list[tuple[Id, str]]:
    """Read the phrasings of entries, each with its entry's id.

    Args:
        place: a task's folder, or a file like its base.jsonl alone.

    Raises:
        BadTask: a file is missing or says something else.
    """
    file = place if place.is_file() else place / "base.jsonl"
    base = [(_id(row), _text(row, "question")) for row in _rows(file)]
    if not base:
        raise BadTask(f"{file} has no entries.")
    more = place / "alternates.jsonl"
    entries = {name for name, _ in base}
    for row in _rows(more) if more.exists() else []:
        if _id(row) not in entries:
            raise BadTask(f"{row['file']}, line {row['line']}: base.jsonl has no entry {_id(row)!r}.")
        base.append((_id(row), _text(row, "question")))
    return base


def read_task(folder: Path) -> Task:
    """Read a task.

    Raises:
        BadTask: a file is missing or says something else.
    """
    return Task(read_entries(folder), [_query(row) for row in _rows(folder / "queries.jsonl")])


def predict(task: Task, encoder: Encoder | None, show: Callable[[int], None] = lambda _: None) -> list[Prediction]:
    """Answer every query of a task as the site would.

    Args:
        task: what ``read_task`` gave.
        encoder: None matches by letters and sounds.
        show: told how many are done.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(name for name, _ in task.phrasings), 1)}
    names = {number: name for name, number in numbers.items()}
    matcher = Matcher([Phrasing(numbers[name], text) for name, text in task.phrasings], encoder)
    predictions = []
    for done, query in enumerate(task.queries, 1):
        match = matcher.match(query.text, query.context)
        top = [names[candidate.entry] for candidate in match.candidates]
        score = match.candidates[0].score if match.candidates else 0.0
        predictions.append(Prediction(top, round(score, 6), match.band))
        show(done)
    return predictions


def figures(task: Task, predictions: Sequence[Prediction]) -> Figures:
    """How good the predictions are."""
    told = list(zip(task.queries, predictions, strict=True))
    in_scope = sum(bool(query.right) for query, _ in told)
    right = [bool(said.top) and said.top[0] in query.right for query, said in told]
    live = [is_right for is_right, (_, said) in zip(right, told, strict=True) if said.band == "answer"]
    offered = [
        not query.right.isdisjoint(said.top[:_SUGGESTED])
        for query, said in told
        if query.right and said.band != "abstain"
    ]
    curve = list(_curve(right, predictions, in_scope))
    return Figures(
        queries=len(told),
        in_scope=in_scope,
        top1=sum(right) / max(in_scope, 1),
        covered=[max((covered for covered, wrong in curve if wrong <= most), default=0.0) for most in WRONG],
        answered=sum(live) / max(in_scope, 1),
        wrong=(len(live) - sum(live)) / max(len(told), 1),
        suggested=sum(offered) / max(in_scope, 1),
        curve=curve,
    )


def _curve(right: Sequence[bool], predictions: Sequence[Prediction], in_scope: int) -> Iterator[tuple[float, float]]:
    """Coverage and share of wrong answers, with the bar at each score in turn from the highest."""
    ranked = sorted(
        ((said.score, is_right) for said, is_right in zip(predictions, right, strict=True) if said.top), reverse=True
    )
    answered = 0
    for place, (score, is_right) in enumerate(ranked):
        answered += is_right
        if place + 1 == len(ranked) or ranked[place + 1][0] != score:
            yield answered / max(in_scope, 1), (place + 1 - answered) / len(predictions)


def _query(row: dict[str, Any]) -> Query:
    also, context = row.get("also") or [], row.get("context")
    if not isinstance(also, list) or not isinstance(context, str | None):
        raise BadTask(f"{row['file']}, line {row['line']}: 'also' is a list, 'context' a text.")
    right = [row.get("id"), *also]
    return Query(_text(row, "query"), context, frozenset(name for name in right if isinstance(name, str | int)))


def _id(row: dict[str, Any]) -> Id:
    name = row.get("id")
    if not isinstance(name, str | int):
        raise _lacking(row, "id")
    return name


def _text(row: dict[str, Any], name: str) -> str:
    text = row.get(name)
    if not isinstance(text, str):
        raise _lacking(row, name)
    return text


def _lacking(row: dict[str, Any], name: str) -> BadTask:
    return BadTask(f"{row['file']}, line {row['line']}: there is no {name!r}.")


def _rows(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, each with its place for whoever must complain about it."""
    rows = []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # JSON may hold other ends of lines
    except (OSError, UnicodeDecodeError) as error:
        raise BadTask(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no UTF-8'}.") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            rows.append(_row(line, path, number))
    return rows


def _row(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise BadTask(f"{path}, line {number}: this is no JSON object.")
    return row | {"file": str(path), "line": number}
