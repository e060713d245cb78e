"""llama.cpp's work on whole files: what a file holds, making another of it, how well it predicts a text.

Beside ``llama.py`` the only place that imports ``llama_cpp``. None of this runs in a serving process, except
``load_mode``, which decides how the server reads a file.
"""

from __future__ import annotations

import ctypes
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import llama_cpp
import numpy as np
from llama_cpp._ggml import libggml

from webchat.engine.generation import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    Importance = Mapping[str, np.ndarray]

# ggml's numbers of the tensor types that recipes and real files use.
TYPES = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q5_0": 6,
    "q5_1": 7,
    "q8_0": 8,
    "q2_k": 10,
    "q3_k": 11,
    "q4_k": 12,
    "q5_k": 13,
    "q6_k": 14,
    "iq4_nl": 20,
    "iq4_xs": 23,
    "bf16": 30,
}
_NAMES = {number: name for name, number in TYPES.items()}
# Rearranged when loaded, so that several rows are multiplied at once: the copy in the file is of no use after that.
_REPACKED = {"q4_0", "iq4_nl"}
_GGML_ERROR = 4
_BATCH = 64  # tokens scored at a time: 40 MB of logits over a vocabulary of 150,000
_BUFFER = 64 << 20  # bytes of rows a quantisation holds at a time; llama.cpp's own choice needs a gigabyte
# Which matrices read the result of a node in the graph of the Qwen2 and Llama families.
_READERS = {
    "attn_norm": ("attn_q", "attn_k", "attn_v"),
    "kqv_out": ("attn_output",),
    "ffn_norm": ("ffn_gate", "ffn_up"),
    "ffn_swiglu": ("ffn_down",),
    "result_norm": ("output",),
}


class _InitParams(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


def _declare(name: str, result: object, *arguments: object) -> Callable[..., object]:
    """A function of ggml's C interface that the Python package leaves out."""
    function = getattr(libggml, name)
    function.restype, function.argtypes = result, list(arguments)
    return function  # type: ignore[no-any-return]  # ctypes


_open_gguf = _declare("gguf_init_from_file", ctypes.c_void_p, ctypes.c_char_p, _InitParams)
_close_gguf = _declare("gguf_free", None, ctypes.c_void_p)
_tensor_count = _declare("gguf_get_n_tensors", ctypes.c_int64, ctypes.c_void_p)
_tensor_name = _declare("gguf_get_tensor_name", ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64)
_tensor_type = _declare("gguf_get_tensor_type", ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_tensor_size = _declare("gguf_get_tensor_size", ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int64)
_node_name = _declare("ggml_get_name", ctypes.c_char_p, ctypes.c_void_p)
_node_size = _declare("ggml_nelements", ctypes.c_int64, ctypes.c_void_p)
_node_data = _declare("ggml_get_data_f32", ctypes.POINTER(ctypes.c_float), ctypes.c_void_p)


@dataclass(frozen=True)
class Tensor:
    """One matrix or vector of a file; ``type`` is ``?`` when it is none of ``TYPES``, ``size`` is in bytes."""

    name: str
    type: str
    size: int


def tensors(path: Path) -> list[Tensor]:
    """What a GGUF file holds, read from its head alone.

    Raises:
        EngineUnavailable: when it is no GGUF file or cut short.
    """
    found = _open_gguf(os.fsencode(path), _InitParams(True, None))  # noqa: FBT003 - C structure
    if not found:
        raise EngineUnavailable(
            f"{path.name} could not be loaded: it is no GGUF file of a known architecture, or damaged"
        )
    try:
        return [_tensor(found, index) for index in range(int(_tensor_count(found)))]  # type: ignore[call-overload]
    finally:
        _close_gguf(found)


def types(path: Path) -> dict[str, str]:
    """The type of each tensor of a GGUF file; see ``tensors``."""
    return {tensor.name: tensor.type for tensor in tensors(path)}


def _tensor(file: object, index: int) -> Tensor:
    name: bytes = _tensor_name(file, index)  # type: ignore[assignment]
    number: int = _tensor_type(file, index)  # type: ignore[assignment]
    size: int = _tensor_size(file, index)  # type: ignore[assignment]
    return Tensor(name.decode("utf-8", "replace"), _NAMES.get(number, "?"), size)


def load_mode(path: Path) -> int:
    """How llama.cpp should read a file.

    Mapped into memory a file of repacked types would stay there beside its rearranged copy: 821 MB instead of 636 MB
    for Qwen2.5-0.5B in IQ4_NL. One that is used as it is may be mapped, which lets the system drop and share its pages.
    """
    found = tensors(path)
    repacked = sum(tensor.size for tensor in found if tensor.type in _REPACKED)
    mapped = 2 * repacked < sum(tensor.size for tensor in found)
    return int(llama_cpp.LLAMA_LOAD_MODE_MMAP if mapped else llama_cpp.LLAMA_LOAD_MODE_NONE)


def requantise(
    source: Path,
    target: Path,
    kinds: Mapping[str, str],
    *,
    importance: Importance,
    threads: int,
    on_tensor: Callable[[int], None] = lambda _: None,
) -> None:
    """Write ``source`` with other types of tensors; it takes a minute or two and cannot be interrupted.

    Args:
        source: a GGUF file of any types.
        target: the file to write.
        kinds: the type of each tensor; those not named, and those that have it already, are copied.
        importance: of each column of some tensors; rounding errors there weigh as much (see ``importance``).
        threads: processor threads.
        on_tensor: told the number of each tensor, from 1, when its turn comes.

    Raises:
        EngineUnavailable: llama.cpp refused, or the disk did.
    """
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0, True
    params.nthread, params.max_buf_size = threads, _BUFFER
    kept = {name: kind for name, kind in types(source).items() if kind in TYPES}
    params.tt_overrides = _overrides(kept | dict(kinds))
    params.imatrix = _columns(importance)
    complaints: list[str] = []
    with _listening(on_tensor, complaints.append):
        status = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params))
    if status != 0:
        raise EngineUnavailable(f"{source.name} could not be quantised: {complaints[-1] if complaints else status}")


def _overrides(kinds: Mapping[str, str]) -> object:
    """llama.cpp takes regular expressions and applies the first that is found in a name; the last one is null."""
    overrides = (llama_cpp.llama_model_tensor_override * (len(kinds) + 1))()
    for override, (name, kind) in zip(overrides, kinds.items(), strict=False):
        override.pattern, override.type = f"^{re.escape(name)}$".encode(), TYPES[kind]
    return overrides


def _columns(importance: Importance) -> object:
    columns = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()
    for column, (name, weights) in zip(columns, importance.items(), strict=False):
        column.name, column.size = name.encode(), weights.size
        column.data = weights.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    return columns if importance else None


@contextmanager
def _listening(on_tensor: Callable[[int], None], on_error: Callable[[str], None]) -> Iterator[None]:
    """llama.cpp tells how far it is in its log, and nowhere else."""

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # ctypes
    def listen(level: int, text: bytes, _data: object) -> None:
        line = text.decode("utf-8", "replace")
        if at := re.match(r"\[ *(\d+)/", line):
            on_tensor(int(at[1]))
        elif level == _GGML_ERROR:
            on_error(line.strip().rpartition(": ")[2])

    llama_cpp.llama_log_set(listen, ctypes.c_void_p(0))
    try:
        yield
    finally:
        llama_cpp.llama_log_set(_silence, ctypes.c_void_p(0))


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # ctypes
def _silence(_level: int, _text: bytes, _data: object) -> None:
    pass


class Reader:
    """A file loaded to read texts with: it writes nothing, it says how probable each token was.

    Raises:
        EngineUnavailable: the file cannot be loaded.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        llama_cpp.llama_log_set(_silence, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._threads = threads
        self._model = _load(path)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._batch = llama_cpp.llama_batch_init(_BATCH, 0, 1)

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a plain text."""
        data = text.encode()
        buffer = (llama_cpp.llama_token * (len(data) + 1))()
        count = llama_cpp.llama_tokenize(self._vocab, data, len(data), buffer, len(buffer), False, False)  # noqa: FBT003 - C call
        return list(buffer[: max(count, 0)])

    def scores(
        self, tokens: Sequence[int], on_token: Callable[[int], None] = lambda _: None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read a text and, before each token but the first, guess it.

        Args:
            tokens: the text, from its beginning.
            on_token: told how many tokens have been read.

        Returns:
            The natural logarithm of each token's probability, and the likeliest token in its place;
            both of one element fewer than ``tokens``.

        Raises:
            EngineUnavailable: there is no memory for so long a text.
        """
        logarithms, likeliest = [], []
        for at, logits in self._read(tokens):
            following = tokens[at + 1 : at + 1 + len(logits)]
            for row, token in zip(logits, following, strict=False):  # the last row guesses what comes after the text
                top = row.max()
                logarithms.append(row[token] - top - np.log(np.exp(row - top).sum()))
                likeliest.append(row.argmax())
            on_token(at + len(logits))
        return np.array(logarithms), np.array(likeliest)

    def importance(
        self, tokens: Sequence[int], on_token: Callable[[int], None] = lambda _: None
    ) -> dict[str, np.ndarray]:
        """How strongly a text excites each column of each matrix: the mean square of what is multiplied with it.

        An error in a weight matters as much as the activation it meets (llama.cpp's "importance matrix").

        Raises:
            EngineUnavailable: there is no memory for so long a text.
        """
        squares: dict[str, np.ndarray] = {}
        for at, logits in self._read(tokens, lambda node, ask: self._collect(squares, node, ask)):
            on_token(at + len(logits))
        return {name: (total / len(tokens)).astype(np.float32) for name, total in squares.items()}

    def close(self) -> None:
        """Free the model."""
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_model_free(self._model)

    def _read(
        self, tokens: Sequence[int], watch: Callable[[int, bool], bool] | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(position of the first token, a row of logits for each) for each piece of a text."""
        width = llama_cpp.llama_vocab_n_tokens(self._vocab)
        with self._context(len(tokens), watch) as context:
            for at in range(0, len(tokens), _BATCH):
                piece = tokens[at : at + _BATCH]
                self._fill(at, piece)
                if (status := llama_cpp.llama_decode(context, self._batch)) != 0:
                    raise RuntimeError(f"llama_decode returned {status}")
                yield at, np.ctypeslib.as_array(llama_cpp.llama_get_logits(context), shape=(len(piece), width))

    @contextmanager
    def _context(self, tokens: int, watch: Callable[[int, bool], bool] | None) -> Iterator[int]:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = tokens, _BATCH, _BATCH
        params.n_threads = params.n_threads_batch = self._threads
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.no_perf = True
        if watch:
            params.cb_eval = llama_cpp.ggml_backend_sched_eval_callback(lambda node, ask, _: watch(node, ask))
        context = llama_cpp.llama_init_from_model(self._model, params)
        if not context:
            raise EngineUnavailable(f"no memory to read {tokens} tokens beside the model")
        try:
            yield context
        finally:
            llama_cpp.llama_free(context)

    def _fill(self, start: int, piece: Sequence[int]) -> None:
        self._batch.n_tokens = len(piece)
        for at, token in enumerate(piece):
            self._batch.token[at], self._batch.pos[at], self._batch.logits[at] = token, start + at, 1
            self._batch.n_seq_id[at], self._batch.seq_id[at][0] = 1, 0

    def _collect(self, squares: dict[str, np.ndarray], node: int, ask: bool) -> bool:  # noqa: FBT001 - called from C
        """Called twice for each node of the graph: whether it interests us, and once it is computed."""
        name: bytes = _node_name(node)  # type: ignore[assignment]
        kind, _, layer = name.decode().partition("-")
        if ask or kind not in _READERS:
            return kind in _READERS
        size: int = _node_size(node)  # type: ignore[assignment]
        values = np.ctypeslib.as_array(_node_data(node), shape=(size,))
        total = np.square(values.reshape(self._batch.n_tokens, -1), dtype=np.float64).sum(axis=0)
        for reader in _READERS[kind]:
            matrix = f"blk.{layer}.{reader}.weight" if layer else f"{reader}.weight"
            squares[matrix] = squares.get(matrix, 0) + total
        return True


def _load(path: Path) -> int:
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers, params.load_mode = 0, load_mode(path)
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise EngineUnavailable(
            f"{path.name} could not be loaded: it is no GGUF file of a known architecture, or damaged"
        )
    return int(model)
