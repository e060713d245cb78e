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
_REACHES = (4.0, 8.0, 16.0, np.inf)  # below the largest logit; the nearest that holds enough tokens will do
_NO_CHANCE = 30.0  # below the largest logit: less than one in ten thousand billion
_COLD = 1e-6  # temperatures below take the likeliest token, as 0 does: differences divided by them are infinite


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
        token = int(logits.argmax()) if self._sampling.temperature < _COLD else self._draw(logits)
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
        tokens = self._candidates(logits, largest)
        relative = np.float64(logits[tokens]) - largest
        if sampling.top_p < 1 or sampling.min_p > 0:
            tokens, relative = self._likely(tokens, relative)
        chances = np.cumsum(np.exp(relative / sampling.temperature))
        return int(tokens[np.searchsorted(chances, self._random.random() * chances[-1], side="right")])

    def _candidates(self, logits: np.ndarray, largest: np.float32) -> np.ndarray:
        """The ``top_k`` likeliest tokens, found near the largest; without a bound all that have a chance."""
        most = self._sampling.top_k
        for reach in _REACHES if 0 < most < len(logits) else ():
            tokens = np.flatnonzero(logits > largest - reach)
            if len(tokens) >= most:
                return tokens[np.argpartition(logits[tokens], -most)[-most:]]
        return np.flatnonzero(logits > largest - _NO_CHANCE * max(self._sampling.temperature, 1.0))

    def _likely(self, tokens: np.ndarray, relative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first tokens that make up ``top_p`` together and are ``min_p`` times as likely as the likeliest."""
        likely = np.exp(relative)
        wanted = self._sampling.top_p * likely.sum()
        masks = (relative > -reach for reach in _REACHES)
        near = next((mask for mask in masks if likely[mask].sum() >= wanted), slice(None))  # sorting all takes long
        order = np.argsort(-relative[near], kind="stable")
        tokens, relative, likely = tokens[near][order], relative[near][order], likely[near][order]
        enough = int(np.searchsorted(np.cumsum(likely), wanted)) + 1
        enough = min(enough, int(np.count_nonzero(likely >= self._sampling.min_p)))
        return tokens[:enough], relative[:enough]
