"""llama.cpp as a reader: how probable a file finds each token of a text, and which weights the text excites."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import llama_cpp
import numpy as np

from webchat.engine.generation import EngineUnavailable
from webchat.engine.llama_files import declare, load_model, silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_BATCH = 64  # tokens scored at a time: 40 MB of logits over a vocabulary of 150,000
# Which matrices read the result of a node in the graph of the Qwen2 and Llama families.
_READERS = {
    "attn_norm": ("attn_q", "attn_k", "attn_v"),
    "kqv_out": ("attn_output",),
    "ffn_norm": ("ffn_gate", "ffn_up"),
    "ffn_swiglu": ("ffn_down",),
    "result_norm": ("output",),
}

_node_name = declare("ggml_get_name", ctypes.c_char_p, ctypes.c_void_p)
_node_size = declare("ggml_nelements", ctypes.c_int64, ctypes.c_void_p)
_node_data = declare("ggml_get_data_f32", ctypes.POINTER(ctypes.c_float), ctypes.c_void_p)


class Reader:
    """A file loaded to read texts with: it writes nothing, it says how probable each token was.

    Raises:
        EngineUnavailable: the file cannot be loaded.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        silence()
        llama_cpp.llama_backend_init()
        self._threads = threads
        self._model = load_model(path)
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
            scratch = np.empty_like(logits[0])  # made anew for each row it would cost more than the sum
            following = tokens[at + 1 : at + 1 + len(logits)]
            for row, token in zip(logits, following, strict=False):  # the last row guesses what comes after the text
                best = row.argmax()
                np.exp(np.subtract(row, row[best], out=scratch), out=scratch)
                logarithms.append(row[token] - row[best] - np.log(scratch.sum()))
                likeliest.append(best)
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
        with self._context(len(tokens), watch) as context, ThreadPoolExecutor(1) as aside:
            for at in range(0, len(tokens), _BATCH):
                piece = tokens[at : at + _BATCH]
                self._fill(at, piece)
                # On a thread of its own: ctypes swallows a Ctrl-C that arrives while ``watch`` runs.
                status = aside.submit(llama_cpp.llama_decode, context, self._batch).result()
                if status != 0:
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
