"""Where prompts are cut and where they go on, so that a token is computed to the same last bit however that falls.

llama.cpp multiplies the rows of a step four at a time, what is left over by other code (up to three times as slow),
and few rows by other code again, and each adds up in an order of its own. So the rows of a prompt are kept in the
same fours: they are counted from its beginning and, since many prompts share their system text, anew from the end of
that; the last ones are filled up. Measured, not documented; a test with real weights holds it.
"""

from __future__ import annotations

GROUP = 4  # tokens
LEAST = 8  # tokens that are computed together like any larger number


def reusable(shared: int, prompt: int, head: int) -> int:
    """How many tokens of a prompt to take from where they have been computed before.

    Args:
        shared: tokens that are the same there.
        prompt: tokens of the prompt in all.
        head: tokens of its system text, at which all its readings pause.
    """
    most = min(shared, prompt - LEAST)
    if most >= head:
        return head + _groups(most - head)
    return _groups(max(min(most, head - LEAST), 0))


def piece(start: int, prompt: int, head: int, room: int) -> int:
    """How many tokens of a prompt to read in the next step.

    Args:
        start: tokens that have been read.
        prompt: tokens in all.
        head: tokens of its system text.
        room: tokens there is time for.

    Returns:
        At most ``room``, and 0 when that is too little. Where it is less than twice ``LEAST`` some pieces are small
        ones, and come out differently: a machine so slow has to care for other answers first.
    """
    left = (head if start < head else prompt) - start
    if left <= room:
        return left
    if room < LEAST:
        return _groups(room)
    return max(_groups(min(room, left - LEAST)), LEAST)


def padded(tokens: int) -> int:
    """How many rows a piece takes in a step: whole groups."""
    return -(-tokens // GROUP) * GROUP


def _groups(tokens: int) -> int:
    return tokens - tokens % GROUP
