"""A FAQ's phrasings as a question is compared with them: by meaning, by letters and by sounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from webchat.answering.faq.lexical import LexicalIndex, Rarity
from webchat.answering.faq.spelling import grams, is_pinyin, plain, sounds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from webchat.answering.faq.semantic import Space

_NEAR = 12  # entries that are looked at closely
# In a large FAQ all rows are compared by their first numbers only, which tell most, and these many in full.
_LARGE, _COARSE, _PROMISING = 2000, 64, 400
_NO_ENTRY = -(1 << 62)
# How much the letters count beside the meaning. In a small FAQ a shared word says much; among a thousand questions
# many share it. Between the two sizes the share falls with the logarithm.
_LETTERS_OF_FEW, _LETTERS_OF_MANY = 0.2, 0.06
_FEW, _MANY = 180, 400  # entries
_LETTERS_OF_PINYIN = 0.9  # who types in pinyin is understood by sound: encoders do not read it
_SOUND = 0.9  # what sounds alike is a little less than what is spelt alike
_HOLDS, _BEGINS, _COMPLETES = 0.5, 0.3, 0.25  # of what is typed: a phrasing holds it, begins with it, is offered for it
_SOUNDS_ALONE = 0.3  # share of the sounds where nothing compares by meaning


@dataclass(frozen=True, slots=True)
class Phrasing:
    """One way to ask for an entry; a negative is one that must not lead to it."""

    entry: int
    text: str
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A question ready to be compared.

    Attributes:
        text: plain.
        placed: its vectors in the frame's space, one for each encoder; None without an encoder.
    """

    text: str
    placed: Sequence[np.ndarray] | None


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that fits a question, with the phrasing that fits best.

    Attributes:
        text: the phrasing, plain.
        texts: all phrasings of the entry, plain.
        denied: one of the entry's negatives fits better than that.
    """

    score: float
    phrasing: Phrasing
    text: str
    texts: tuple[str, ...]
    denied: bool


class Frame:
    """What the comparisons are made with: taken from the whole FAQ when it is built, kept while it is edited.

    Args:
        phrasings: of the whole FAQ.
        space: where their vectors are compared; None without an encoder.

    Attributes:
        entries: how many the FAQ has.
        small: 1 for a small FAQ, 0 for a large one.
    """

    def __init__(self, phrasings: Sequence[Phrasing], space: Space | None) -> None:
        texts = [plain(phrasing.text) for phrasing in phrasings]
        self.letters = Rarity(grams(text) for text in texts)
        self.sounds = Rarity(sounds(text) for text in texts)
        self.space = space
        self.entries = len({phrasing.entry for phrasing in phrasings})
        self.small = float(np.clip(np.log(_MANY / max(self.entries, 1)) / np.log(_MANY / _FEW), 0, 1))


class Rows:
    """Some phrasings side by side, those of an entry next to each other.

    Args:
        phrasings: what they say.
        vectors: of each, from the encoder; None without one.
        frame: of the FAQ.
    """

    def __init__(self, phrasings: Sequence[Phrasing], vectors: np.ndarray | None, frame: Frame) -> None:
        order = sorted(range(len(phrasings)), key=lambda row: phrasings[row].entry)
        self.phrasings = [phrasings[row] for row in order]
        self.texts = [plain(phrasing.text) for phrasing in self.phrasings]
        self.entries = np.array([phrasing.entry for phrasing in self.phrasings], np.int64)
        self._negative = np.array([phrasing.negative for phrasing in self.phrasings], bool)
        firsts = np.flatnonzero(np.diff(self.entries, prepend=_NO_ENTRY))
        self._starts = np.append(firsts, len(self.entries))  # of each entry's rows, and the end
        self._frame = frame
        self._letters = LexicalIndex((grams(text) for text in self.texts), frame.letters)
        self._sounds = LexicalIndex((sounds(text) for text in self.texts), frame.sounds)
        self._placed: list[np.ndarray] | None = (
            None if vectors is None or frame.space is None else frame.space.place(vectors[order])
        )
        self._coarse: list[np.ndarray] | None = None
        if self._placed and len(phrasings) > _LARGE and frame.space and frame.space.is_reduced:
            self._coarse = [np.ascontiguousarray(part[:, :_COARSE]) for part in self._placed]
        self._spellings: dict[str, list[Phrasing]] = {}
        for text, phrasing in zip(self.texts, self.phrasings, strict=True):
            if text:  # "！" says nothing, and would be what every "？" asks for
                self._spellings.setdefault(text, []).append(phrasing)

    def exact(self, text: str) -> list[Phrasing]:
        """Those that are spelt like a plain text."""
        return self._spellings.get(text, [])

    def completing(self, text: str, count: int) -> list[tuple[float, Phrasing]]:
        """Phrasings that somebody who has typed this much may be about to ask, an entry's best one each, best first.

        Args:
            text: plain, a beginning or some words of a question.
            count: at most so many.
        """
        if not self.phrasings:
            return []
        fit = self._letters.scores(grams(text))
        if is_pinyin(text):
            fit = np.maximum(fit, _SOUND * self._sounds.scores(sounds(text)))
        fit += [_HOLDS * (text in known) + _BEGINS * known.startswith(text) for known in self.texts]
        fit[self._negative] = 0
        best: dict[int, tuple[float, Phrasing]] = {}
        for row in np.argsort(-fit, kind="stable"):
            if fit[row] < _COMPLETES or len(best) == count:
                break
            best.setdefault(self.phrasings[row].entry, (float(fit[row]), self.phrasings[row]))
        return list(best.values())

    def asked(self, row: int) -> Asked:
        """A row as if a visitor had asked it."""
        return Asked(self.texts[row], self._placed and [part[row] for part in self._placed])

    def hits(self, asked: Asked, without: frozenset[int]) -> Iterator[Hit]:
        """The entries that fit a question best, in no order.

        An entry's phrasings help each other: one may fit by its letters, another by its meaning.

        Args:
            asked: the question.
            without: entries to leave out.
        """
        if not self.phrasings:
            return
        lexical = self._lexical(asked)
        rows = self._promising(lexical, asked)
        channels = np.concatenate([lexical[:, rows], self._meant(asked, self._placed, rows)])
        # What may not be asked for counts for nothing, except as a reason not to answer.
        positive = np.where(self._negative[rows], -np.inf, channels)
        starts = np.flatnonzero(np.diff(self.entries[rows], prepend=_NO_ENTRY))
        ends = np.append(starts[1:], len(rows))
        for place in self._best(positive, starts, rows, without):
            span = slice(starts[place], ends[place])
            yield self._hit(rows[span], channels[:, span], positive[:, span])

    def _hit(self, rows: np.ndarray, channels: np.ndarray, positive: np.ndarray) -> Hit:
        """An entry, by its rows and how well each of them fits."""
        best = int(positive.sum(axis=0).argmax())
        fit, negative = channels.sum(axis=0), self._negative[rows]
        denied = bool(negative.any() and fit[negative].max() >= fit[best])
        texts = tuple(self.texts[row] for row in rows[~negative])
        row = rows[best]
        return Hit(float(positive.max(axis=1).sum()), self.phrasings[row], self.texts[row], texts, denied)

    def _best(self, positive: np.ndarray, starts: np.ndarray, rows: np.ndarray, without: frozenset[int]) -> list[int]:
        """The places of the entries that fit best; of all at once, because one by one takes milliseconds."""
        scores = np.maximum.reduceat(positive, starts, axis=1).sum(axis=0)
        if without:
            scores[np.isin(self.entries[rows[starts]], list(without))] = -np.inf
        near = np.argpartition(-scores, _NEAR)[:_NEAR] if len(scores) > _NEAR else np.arange(len(scores))
        return [int(place) for place in near if scores[place] > -np.inf]

    def _promising(self, lexical: np.ndarray, asked: Asked) -> np.ndarray:
        """The rows worth comparing in full: of a large FAQ those of the entries whose coarse likeness is highest."""
        if self._coarse is None or asked.placed is None:
            return np.arange(len(self.phrasings))
        fit = lexical.sum(axis=0) + self._meant(asked, self._coarse, np.arange(len(self.phrasings))).sum(axis=0)
        near = np.argpartition(-fit, _PROMISING)[:_PROMISING]
        return np.flatnonzero(self._of_entries(self.entries[near]))

    def _of_entries(self, entries: np.ndarray) -> np.ndarray:
        """Which rows are of these entries."""
        wanted = np.zeros(len(self._starts) - 1, bool)
        wanted[np.searchsorted(self.entries[self._starts[:-1]], entries)] = True
        return np.repeat(wanted, np.diff(self._starts))

    def _lexical(self, asked: Asked) -> np.ndarray:
        """How well every row fits by letters and sounds: a row of shares for each, that with ``_meant`` sum up to 1."""
        in_pinyin = is_pinyin(asked.text)
        spelt = self._letters.scores(grams(asked.text))
        by_meaning = self._placed is not None and asked.placed is not None
        sounding = self._sounds.scores(sounds(asked.text)) if in_pinyin or not by_meaning else spelt
        if in_pinyin:
            spelt = np.maximum(spelt, _SOUND * sounding)
        if not by_meaning:
            share = 0 if in_pinyin else _SOUNDS_ALONE
            return np.stack([(1 - share) * spelt, share * sounding])
        return self._letters_share(in_pinyin=in_pinyin) * spelt[None, :]

    def _meant(self, asked: Asked, placed: Sequence[np.ndarray] | None, rows: np.ndarray) -> np.ndarray:
        """How well these rows fit by meaning, a row of shares for each encoder; compares what ``placed`` holds."""
        if placed is None or asked.placed is None:
            return np.zeros((0, len(rows)), np.float32)
        share = (1 - self._letters_share(in_pinyin=is_pinyin(asked.text))) / len(placed)
        parts = placed if len(rows) == len(self.phrasings) else [part[rows] for part in placed]
        pairs = zip(parts, asked.placed, strict=True)
        return np.stack([share * (part @ question[: part.shape[1]]) for part, question in pairs])

    def _letters_share(self, *, in_pinyin: bool) -> float:
        return _LETTERS_OF_PINYIN if in_pinyin else max(self._frame.small * _LETTERS_OF_FEW, _LETTERS_OF_MANY)
