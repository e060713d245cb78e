"""Which files ``webchat model tune`` makes, and which of them is the best: pure functions, no llama.cpp."""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import geometric_mean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

AS_IS = "as-is"
KEPT = ""  # the type a matrix has in the download
# How much perplexity may rise over the download's: what is made from a file that is rounded already loses twice.
BOUND_FROM_ORIGINAL = 0.03
BOUND_FROM_DOWNLOAD = 0.05
# How much faster a file must be, in every round. Raced against itself (tools/measure_noise.py), a file gained up to
# 1.16 in the median of three rounds, but never more than 1.01 in the worst of them.
WORTH_IT = 1.02


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


_DOWN, _OUTPUT = r"^blk\.\d+\.ffn_down\.", r"^output\.weight$"
_ATTENTION, _FEED_FORWARD = r"^blk\.\d+\.attn_(q|k|v|output)\.weight$", r"^blk\.\d+\.ffn_(gate|up|down)\."
# Measured one kind at a time: attention suffers most for its size and stays as it is, ffn_down hardly; the output is a
# third of what one step reads and loses little.
_LIGHT = ((_DOWN, "q4_k"), (_OUTPUT, "q5_0"))
_FOUR_BITS = ((_ATTENTION, KEPT), (_DOWN, "q4_k"), (_OUTPUT, "iq4_nl"), (_FEED_FORWARD, "iq4_nl"))
_SOME_KEPT = (r"^blk\.\d*[37]\.ffn_(gate|up)\.", KEPT)  # five layers of 24

# From gentle to rough, so that some can be made from the one before by rounding a few matrices more. On x86-64 our own
# kernels do Q4_K, Q5_0, Q6_K and Q8_0; llama.cpp's are fast at Q4_0 and IQ4_NL on any processor.
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("q5_0-output", _LIGHT[1:]),
        Recipe("q4_k-down", _LIGHT),
        Recipe("iq4_nl-mild", (_SOME_KEPT, *_FOUR_BITS)),
        Recipe("iq4_nl-ffn", _FOUR_BITS),
        Recipe("q4_0", ((_ATTENTION, "q4_0"), (_FEED_FORWARD, "q4_0"), (_OUTPUT, "q4_0"))),
    )
}


def can_become(made: Mapping[str, str], wanted: Mapping[str, str], original: Mapping[str, str]) -> bool:
    """Whether a file already made can be turned into the wanted one without rounding anything twice.

    Args:
        made: the types of its matrices.
        wanted: the types they should have.
        original: the types they had where both come from.
    """
    return all(made[name] in (kind, original[name]) for name, kind in wanted.items())


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
        gain: how many times as fast as the download, over all kinds of work; the median of all rounds.
        least_gain: the same in the round in which it was least.
    """

    name: str
    size: int
    perplexity: Mapping[str, float]
    loss: Mapping[str, float]
    agreement: Mapping[str, float]
    speed: Mapping[str, float]
    gain: float
    least_gain: float

    def within(self, bound: float) -> bool:
        """Whether no text has become harder to predict by more than this."""
        return all(loss <= bound for loss in self.loss.values())


def gain(speed: Mapping[str, float], download: Mapping[str, float]) -> float:
    """How many times as fast, as the geometric mean over the kinds of work: each counts the same."""
    return geometric_mean(speed[kind] / download[kind] for kind in download)


def choose(measured: Iterable[Measured], bound: float) -> Measured:
    """The fastest file whose perplexity stays within the bound; the download, unless one is faster beyond noise.

    Raises:
        ValueError: when the download is not among them.
    """
    files = list(measured)
    download = next((each for each in files if each.name == AS_IS), None)
    if download is None:
        raise ValueError("nothing to compare with: the download was not measured")
    faster = [each for each in files if each.least_gain >= WORTH_IT and each.within(bound)]
    return max(faster, key=lambda each: each.gain, default=download)
