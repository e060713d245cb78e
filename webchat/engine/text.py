"""From bytes to words: whole UTF-8 characters only, stop strings held back."""

from __future__ import annotations

import codecs

# Characters no reader can see: a NUL, which databases refuse, and the sign for bytes that were none.
_UNSHOWN = {0x00: None, 0xFFFD: None}


class TextAssembler:
    """Turns the bytes of one generation's tokens into text that is safe to show at once.

    A token may end inside a character or inside a stop string; what could still become either
    is held back until the next bytes decide. Bytes that can never be UTF-8 are dropped.
    """

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
        self._stop = tuple(s for s in stop if s)
        self._held = ""
        self.stopped = False

    def push(self, piece: bytes) -> str:
        """Take a token's bytes, give back the text that is settled by now (often empty)."""
        if self.stopped:
            return ""
        self._held += self._decoder.decode(piece).translate(_UNSHOWN)
        if (cut := self._first_stop()) is not None:
            self.stopped = True
            settled, self._held = self._held[:cut], ""
            return settled
        keep = self._longest_open_stop()
        settled = self._held[: len(self._held) - keep]
        self._held = self._held[len(self._held) - keep :]
        return settled

    def flush(self) -> str:
        """The held text at the end of a generation; an incomplete character is dropped."""
        held, self._held = self._held, ""
        return held

    def _first_stop(self) -> int | None:
        """Where the stop string that is complete first begins: the same however the text was cut into tokens."""
        found = [(at + len(s), at) for s in self._stop if (at := self._held.find(s)) >= 0]
        return min(found)[1] if found else None

    def _longest_open_stop(self) -> int:
        """Length of the longest suffix that is the beginning of a stop string."""
        return max(
            (n for s in self._stop for n in range(1, len(s)) if self._held.endswith(s[:n])),
            default=0,
        )
