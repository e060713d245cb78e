"""Which files ``webchat model tune`` makes, and which of them is the best: pure functions, no llama.cpp."""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import geometric_mean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

AS_IS = "as-is"
# How much perplexity may rise over the download's: what is made from a file that is rounded already loses twice.
BOUND_FROM_ORIGINAL = 0.03
BOUND_FROM_DOWNLOAD = 0.05


@dataclass(frozen=True)
class Recipe:
    """A way to make another file of the same model.

    Attributes:
        name: how the table and the file call it.
        rules: (regular expression, type): the first one found in a tensor's name decides; others stay as they are.
    """

    name: str
    rules: tuple[tuple[str, str], ...]

    def types(self, download: Mapping[str, str]) -> dict[str, str]:
        """The type of each matrix.

        Args:
            download: the types of the download's matrices, by name.
        """
        return {name: self._type(name) or kind for name, kind in download.items()}

    def _type(self, name: str) -> str | None:
        return next((kind for pattern, kind in self.rules if re.search(pattern, name)), None)


_EVERY_MATRIX = r"^blk\.\d+\.(attn|ffn)"
_OUTPUT = r"^output\.weight$"

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("q4_0", ((_EVERY_MATRIX, "q4_0"), (_OUTPUT, "q4_0"))),
        Recipe("iq4_nl", ((_EVERY_MATRIX, "iq4_nl"), (_OUTPUT, "iq4_nl"))),
    )
}


@dataclass(frozen=True)
class Measured:
    """What was found about one file.

    Attributes:
        name: the recipe's, or ``as-is``.
        size: in bytes.
        perplexity: of each text.
        loss: how much higher that is than the download's; 0.05 is 5 %.
        agreement: the share of tokens for which it makes the same first guess as the download.
        speed: tokens/s of each kind of work, the median of all rounds.
        gain: how many times as fast as the download, over all kinds of work.
    """

    name: str
    size: int
    perplexity: Mapping[str, float]
    loss: Mapping[str, float]
    agreement: Mapping[str, float]
    speed: Mapping[str, float]
    gain: float

    def within(self, bound: float) -> bool:
        """Whether no text has become harder to predict by more than this."""
        return all(loss <= bound for loss in self.loss.values())


def gain(speed: Mapping[str, float], download: Mapping[str, float]) -> float:
    """How many times as fast, as the geometric mean over the kinds of work: each counts the same."""
    return geometric_mean(speed[kind] / download[kind] for kind in download)


def choose(measured: Iterable[Measured], bound: float) -> Measured:
    """The fastest file whose perplexity stays within the bound; the download, unless one is faster.

    Raises:
        ValueError: when the download is not among them.
    """
    files = list(measured)
    download = next((each for each in files if each.name == AS_IS), None)
    if download is None:
        raise ValueError("nothing to compare with: the download was not measured")
    faster = [each for each in files if each.gain > download.gain and each.within(bound)]
    return max(faster, key=lambda each: each.gain, default=download)
