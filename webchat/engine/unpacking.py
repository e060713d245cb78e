"""The same weights in an arrangement that some processors multiply faster, number for number.

Q5_0 packs 32 weights into 22 bytes: four bits of each, and the fifth bits apart. Without a kernel that multiplies
several rows of it at once, the bits are put together again for every token. Q8_0 holds the same integers with the same
scale as they are, in 34 bytes: nothing is rounded, and sums of products come out the same to the last bit. (Quantising
to Q8_0 would choose another scale, and round.)
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

import numpy as np

from webchat.engine.llama_files import EMBEDDINGS, OUTPUT, TYPES, declare, open_gguf, tensors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from webchat.engine.llama_files import Tensor

_PACKED, _UNPACKED = "q5_0", "q8_0"
_PACKED_BYTES, _UNPACKED_BYTES = 22, 34  # of a block of 32 weights
_BLOCKS = 1 << 16  # converted at a time: some megabytes

_set_type = declare("gguf_set_tensor_type", None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
_write_head = declare("gguf_write_to_file", ctypes.c_bool, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_bool)


def packed(path: Path) -> list[Tensor]:
    """The matrices of a file that can be unpacked; the table of embeddings is looked up, not multiplied."""
    found = tensors(path)
    tied = all(tensor.name != OUTPUT for tensor in found)
    return [tensor for tensor in found if tensor.type == _PACKED and (tied or tensor.name != EMBEDDINGS)]


def unpacked_size(path: Path) -> int:
    """How many bytes the file will have, to some kilobytes."""
    more = sum(tensor.size // _PACKED_BYTES * (_UNPACKED_BYTES - _PACKED_BYTES) for tensor in packed(path))
    return path.stat().st_size + more


def unpack(source: Path, target: Path) -> None:
    """Write ``source`` with its packed matrices unpacked.

    Raises:
        EngineUnavailable: ``source`` is no GGUF file.
        OSError: the disk refused.
    """
    names = {tensor.name for tensor in packed(source)}
    with open_gguf(source) as file:
        for name in names:
            _set_type(file, name.encode(), TYPES[_UNPACKED])
        if not _write_head(file, os.fsencode(target), True):  # noqa: FBT003 - C call
            raise OSError(f"{target} could not be written")
    data = np.memmap(source, np.uint8, "r")
    with target.open("r+b") as new:
        for before, after in zip(tensors(source), tensors(target), strict=True):
            new.seek(after.offset)
            stored = data[before.offset : before.offset + before.size]
            for part in _unpack(stored) if before.name in names else (stored,):
                new.write(part.data)
        new.truncate(_whole(new.tell()))
        new.flush()
        os.fsync(new.fileno())


def _unpack(stored: np.ndarray) -> Iterator[np.ndarray]:
    blocks = stored.reshape(-1, _PACKED_BYTES)
    for at in range(0, len(blocks), _BLOCKS):
        yield _unpack_blocks(blocks[at : at + _BLOCKS])


def _unpack_blocks(blocks: np.ndarray) -> np.ndarray:
    """Bytes 0-1: the scale; 2-5: the fifth bits of weights 0 to 31; 6-21: the lower bits of weights i and i + 16."""
    scale, fifth, lower = blocks[:, :2], blocks[:, 2:6], blocks[:, 6:]
    integers = np.concatenate([lower & 15, lower >> 4], axis=1)
    integers |= np.unpackbits(fifth, axis=1, bitorder="little") << 4
    return np.concatenate([scale, (integers.astype(np.int8) - 16).view(np.uint8)], axis=1)


def _whole(size: int, alignment: int = 32) -> int:
    return -(-size // alignment) * alignment
