"""Slots: where entries of a FAQ differ in one short span and answer differently for it.

"Is the iPhone 14 in stock?" and "Is the iPhone 15 in stock?" say that what stands between the words they share
decides. A question with another value there is not answered by either.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Words by which entries are never told apart.
_SAY_NOTHING = frozenset(
    (
        "a an the my your our i you we to of in on at is are am do does did for it its this that me us please can "
        "could will would should s t m ll and or with any some be been "
        "的 了 吗 呢 是 在 有 啊 么 个 一 我 你 您 们 请 要 想 能 会 可 以 就 还 都 也 把 被 给 和 与"
    ).split()
)
_Frame = tuple[tuple[str, ...], tuple[str, ...]]  # the tokens before a value and after it
_Filled = tuple[int, tuple[str, ...]]  # a row, and the value it has in a frame
_SAID = 0.6  # share of an entry's phrasings that must hold a value for it to be what the entry is about
# What is a name by its looks: other words have synonyms.
_NAME = re.compile(r"\d|[a-z]{2}|[\u4e00-\u9fff]{3}")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_NO_NAME = re.compile(
    "[的了吗呢是在有啊么个一我你您们请要想能会可以就还都也把被给和与怎什哪谁多几何如为该应得不没好啥吧呀到过着让从这那]"
)
_TOKEN = re.compile(r"[a-z]+|\d+(?:\.\d+)?|\S")
_MOST_VALUE = 5  # tokens of a value
_MET = 0.8  # share of a frame that a question must have to be of it
_MANY = 3  # entries that share a shorter frame make it one
_LEAST_NAME = 3  # tokens of a value there: a name, not a verb
_LEAST_TEMPLATE = 2  # tokens of such a frame
_LEAST_FRAME = 4  # tokens that both sides share, and at least half of the phrasing


@dataclass(frozen=True, slots=True)
class _Value:
    """What stands in a frame.

    Attributes:
        owner: the entry that has it; None when several have.
        means: it is more than words by which entries are never told apart.
    """

    text: str
    first: str
    last: str
    owner: int | None
    means: bool

    def is_apart(self, other: _Value) -> bool:
        """Whether another entry has the other one, and it is not the same words cut otherwise."""
        return other.owner != self.owner and other.first != self.first and other.last != self.last


@dataclass(frozen=True, slots=True)
class _Slot:
    """A value in its frame, and all that entries have there: shared by the frame's slots, which may be thousands."""

    own: _Value
    frame: _Frame
    values: Sequence[_Value]

    @property
    def value(self) -> str:
        return self.own.text

    def differs(self, question: str, previous: str) -> bool:
        if self.value in question or not _fits(self.frame, previous + question):
            return False
        if any(other.text in question and other.means and self.own.is_apart(other) for other in self.values):
            return True
        # What shares a character with the question is another cut of the same words.
        alien = set(self.value).isdisjoint(question) if _HAN.search(self.value) else True
        if previous or self._fills(question):  # "and in Leeds?" has no other words than the value it asks for
            return alien
        return alien and bool(_NAME.search(self.value)) and not _NO_NAME.search(self.value)

    def _fills(self, question: str) -> bool:
        """Whether a question is this frame with something else in it, letter for letter."""
        before, after = map("".join, self.frame)
        return question.startswith(before) and question.endswith(after) and len(question) > len(before) + len(after)


class Slots:
    """The values that tell entries apart, by phrasing.

    Args:
        phrasings: plain texts.
        owners: the entry of each.
    """

    def __init__(self, phrasings: Sequence[str], owners: Sequence[int]) -> None:
        self._phrasings, self._owners = phrasings, owners
        self._packed: dict[int, list[str]] = defaultdict(list)
        tokens = [_TOKEN.findall(text) for text in phrasings]
        shared = _shared(tokens)
        frames: dict[_Frame, list[_Filled]] = defaultdict(list)
        for row, (text, owner) in enumerate(zip(phrasings, owners, strict=True)):
            self._packed[owner].append(text.replace(" ", ""))
            for frame, value in _frames(tokens[row]):
                if hash(frame) in shared:
                    frames[frame].append((row, value))
        self._slots: dict[str, list[_Slot]] = defaultdict(list)
        for frame, found in frames.items():
            self._learn(frame, found if sum(map(len, frame)) >= _LEAST_FRAME else self._names(found))

    def _names(self, found: Sequence[_Filled]) -> Sequence[_Filled]:
        """What a short frame holds that long names tell apart, where several entries have it."""
        names = [(row, value) for row, value in found if len(value) >= _LEAST_NAME]
        return names if len({self._owners[row] for row, _ in names}) >= _MANY else ()

    def _learn(self, frame: _Frame, found: Sequence[_Filled]) -> None:
        owners: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
        for row, value in found:
            owners[value].add(self._owners[row])
        values = {value: _value(value, of) for value, of in owners.items()}
        every = tuple(values.values())
        for row, value in found:
            own, mine = values[value], self._packed[self._owners[row]]
            if own.owner is None or not own.means or not any(map(own.is_apart, every)):
                continue
            # Where the entry's other phrasings do without it, the value is not what the entry is about.
            if sum(own.text in text for text in mine) >= _SAID * len(mine):
                self._slots[self._phrasings[row]].append(_Slot(own, frame, every))

    def differs(self, question: str, previous: str, phrasing: str) -> bool:
        """Whether a plain question has the frame of this phrasing, but another value than the one that tells it apart.

        Args:
            question: plain.
            previous: the question before it, plain, where the frame may come from.
            phrasing: plain.
        """
        asked, before = question.replace(" ", ""), previous.replace(" ", "")
        return any(slot.differs(asked, before) for slot in self._slots.get(phrasing, ()))


def _value(tokens: tuple[str, ...], owners: set[int]) -> _Value:
    owner = next(iter(owners)) if len(owners) == 1 else None
    return _Value("".join(tokens), tokens[0], tokens[-1], owner, not _SAY_NOTHING.issuperset(tokens))


def _shared(texts: Sequence[list[str]]) -> set[int]:
    """The hashes of frames that more than one text has: of a large FAQ's millions of frames, few."""
    once: set[int] = set()
    more: set[int] = set()
    for words in texts:
        of_this = {hash(frame) for frame, _ in _frames(words)}
        more |= of_this & once
        once |= of_this
    return more


def _fits(frame: _Frame, question: str) -> bool:
    """Whether most of a frame's tokens are in the question, in their order."""
    at = met = 0
    words = [*frame[0], *frame[1]]
    for word in words:
        found = question.find(word, at)
        if found >= 0:
            at, met = found + len(word), met + 1
    return met >= _MET * len(words)


def _frames(words: list[str]) -> Iterator[tuple[_Frame, tuple[str, ...]]]:
    count = len(words)
    for length in range(1, _MOST_VALUE + 1):
        rest = count - length
        if rest < _LEAST_TEMPLATE:
            break
        for at in range(rest + 1):
            yield (tuple(words[:at]), tuple(words[at + length :])), tuple(words[at : at + length])
