"""How the next token is drawn: llama.cpp's samplers and their order, in numpy.

llama.cpp's own first copy the logits of the whole vocabulary into a list of structures, half a millisecond for each
token of each answer; here one pass finds the few tokens that have a chance.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from webchat.engine.generation import Sampling

_PENALTY_WINDOW = 64  # tokens looked back at for the repeat penalty: about two sentences
_SEEDS = 1 << 64
_NO_CHANCE = 30.0  # below the largest logit: less than one in ten thousand billion


class Sampler:
    """Draws the tokens of one answer.

    Args:
        sampling: how; the order is repeat penalty, top-k, top-p, min-p, temperature.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = np.random.default_rng(None if sampling.seed is None else sampling.seed % _SEEDS)
        self._recent: deque[int] = deque(maxlen=_PENALTY_WINDOW)

    def choose(self, logits: np.ndarray) -> int:
        """The next token.

        Args:
            logits: one for each token of the vocabulary, float32; penalties are written into it.
        """
        if self._sampling.repeat_penalty != 1.0:
            self._penalise(logits)
        token = int(logits.argmax()) if self._sampling.temperature <= 0 else self._draw(logits)
        self._recent.append(token)
        return token

    def _penalise(self, logits: np.ndarray) -> None:
        """Keskar et al., CTRL (2019): what was said lately is divided where it is positive, else multiplied."""
        said = np.unique(np.array(self._recent, np.int64))
        heard = logits[said]
        logits[said] = np.where(heard > 0, heard / self._sampling.repeat_penalty, heard * self._sampling.repeat_penalty)

    def _draw(self, logits: np.ndarray) -> int:
        sampling = self._sampling
        largest = logits.max()
        tokens = np.flatnonzero(logits > largest - _NO_CHANCE * max(sampling.temperature, 1.0))
        if 0 < sampling.top_k < len(tokens):
            tokens = tokens[np.argpartition(logits[tokens], -sampling.top_k)[-sampling.top_k :]]
        tokens = tokens[np.argsort(-logits[tokens], kind="stable")]
        relative = np.float64(logits[tokens]) - largest
        tokens, relative = self._likely(tokens, relative)
        chances = np.cumsum(np.exp(relative / sampling.temperature))
        return int(tokens[np.searchsorted(chances, self._random.random() * chances[-1], side="right")])

    def _likely(self, tokens: np.ndarray, relative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first tokens that make up ``top_p`` together and are ``min_p`` times as likely as the likeliest."""
        likely = np.exp(relative)
        together = np.cumsum(likely)
        enough = int(np.searchsorted(together, self._sampling.top_p * together[-1])) + 1
        enough = min(enough, int(np.count_nonzero(likely >= self._sampling.min_p)))
        return tokens[:enough], relative[:enough]
