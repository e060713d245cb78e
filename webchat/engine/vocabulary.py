"""A vocabulary that stays out of memory: SentencePiece cuts the text, its pieces' embeddings are read row by row."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from sentencepiece import SentencePieceProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PIECES, TABLE = "pieces.model", "table.bin"
_LONGEST_PIECE = 16  # characters; so many of a text are read for each piece it may have


class Vocabulary:
    """The pieces in a folder and the table of their embeddings beside them; for one thread at a time.

    Of the table the system keeps in its cache what is often asked for, and nothing of it is this process's.

    Args:
        folder: holds ``PIECES``, a SentencePiece model, and ``TABLE``, a row for each of its pieces.
        row: bytes of a row.

    Raises:
        OSError: a file cannot be read, or is no SentencePiece model.
    """

    def __init__(self, folder: Path, row: int) -> None:
        try:
            self._processor = SentencePieceProcessor(model_file=os.fspath(folder / PIECES))
        except RuntimeError as error:
            raise OSError(f"{folder / PIECES} is no SentencePiece model") from error
        self._row = row
        self._table = os.open(folder / TABLE, os.O_RDONLY | os.O_CLOEXEC)

    def pieces(self, text: str, most: int) -> list[int]:
        """The numbers of a text's pieces between the marks of its beginning and its end, cut to so many in all."""
        text = text[: most * _LONGEST_PIECE].encode("utf-8", "replace").decode()  # half a surrogate is no UTF-8
        pieces: list[int] = self._processor.encode(text, add_bos=True, add_eos=True)
        return cut(pieces, most)

    def rows(self, pieces: Sequence[int]) -> np.ndarray:
        """The bytes of these pieces' rows, as an array of rows."""
        raw = b"".join(os.pread(self._table, self._row, piece * self._row) for piece in pieces)
        return np.frombuffer(raw, np.uint8).reshape(len(pieces), self._row)

    def close(self) -> None:
        """Close the table."""
        os.close(self._table)


def cut(pieces: list[int], most: int) -> list[int]:
    """The first pieces and the mark of the end, so many in all.

    >>> cut([0, 7, 8, 9, 2], 4)
    [0, 7, 8, 2]
    """
    return pieces if len(pieces) <= most else [*pieces[: most - 1], pieces[-1]]
