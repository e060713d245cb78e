"""llama.cpp in embedding mode: a sentence in, a unit vector out."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import llama_cpp
import numpy as np

from webchat.engine.e5_file import WEIGHTS, embeddings, row_bytes
from webchat.engine.generation import EngineUnavailable
from webchat.engine.llama_files import listen, load_model
from webchat.engine.vocabulary import Vocabulary, cut

if TYPE_CHECKING:
    from pathlib import Path

_MOST_TOKENS = 64  # of one text: questions are shorter, and llama.cpp holds a row of logits for every token
_MOST_BYTES = 4096  # of a text that llama.cpp cuts into tokens itself
_WITHOUT_VECTORS = (llama_cpp.LLAMA_POOLING_TYPE_NONE, llama_cpp.LLAMA_POOLING_TYPE_RANK)


class LlamaEncoder:
    """A sentence encoder in a GGUF file, for one thread at a time.

    Args:
        path: the file (bge-small-zh, Qwen3-Embedding …), or the folder that ``e5_file.unpack`` has filled.
        threads: processor threads.

    Attributes:
        name: the file's stem or the folder's name, stored with every vector.
        dimensions: numbers of a vector.

    Raises:
        EngineUnavailable: the file is missing, no GGUF, or no encoder.
        OSError: the folder lacks a file.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        listen()
        unpacked = path.is_dir()
        self.name = path.name if unpacked else path.stem
        # Both sides of a comparison are questions; models of the e5 family were trained with this before each.
        self._prefix = "query: " if "e5" in self.name.lower() else ""
        self._model = load_model(path / WEIGHTS if unpacked else path)
        self.dimensions = int(llama_cpp.llama_model_n_embd(self._model))
        self._Vector = ctypes.c_float * self.dimensions
        self._vocabulary: Vocabulary | None = None
        try:
            self._context = self._open_context(threads)
            if unpacked:
                self._vocabulary = Vocabulary(path, row_bytes(self.dimensions))
        except (EngineUnavailable, OSError):
            llama_cpp.llama_model_free(self._model)
            raise
        self._memory = llama_cpp.llama_get_memory(self._context)  # of those that are language models, too
        self._batch = llama_cpp.llama_batch_init(_MOST_TOKENS, self.dimensions if unpacked else 0, 1)

    def embed(self, text: str) -> np.ndarray:
        """A text's vector, float32 and of length 1; long texts are cut.

        Raises:
            EngineUnavailable: llama.cpp refused.
        """
        self._fill(self._prefix + text)
        if status := self._compute():
            raise EngineUnavailable(f"{self.name}: llama.cpp returned {status} for a text")
        address = ctypes.addressof(llama_cpp.llama_get_embeddings_seq(self._context, 0).contents)
        vector = np.ctypeslib.as_array(self._Vector.from_address(address))
        unit: np.ndarray = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return unit

    def close(self) -> None:
        """Free the model."""
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)
        if self._vocabulary:
            self._vocabulary.close()

    def _compute(self) -> int:
        if not self._memory:
            return int(llama_cpp.llama_encode(self._context, self._batch))
        llama_cpp.llama_memory_clear(self._memory, False)  # noqa: FBT003 - C call
        return int(llama_cpp.llama_decode(self._context, self._batch))

    def _fill(self, text: str) -> None:
        if self._vocabulary:
            tokens = self._vocabulary.pieces(text, _MOST_TOKENS)
            rows = embeddings(self._vocabulary.rows(tokens))
            ctypes.memmove(self._batch.embd, rows.ctypes.data, rows.nbytes)
        else:
            tokens = self._tokens(text)
            for position, token in enumerate(tokens):
                self._batch.token[position] = token
        self._place(len(tokens))

    def _place(self, count: int) -> None:
        """One text: its tokens one after the other, and a part of each in what comes out."""
        batch = self._batch
        batch.n_tokens = count
        for position in range(count):
            batch.pos[position], batch.n_seq_id[position] = position, 1
            batch.seq_id[position][0], batch.logits[position] = 0, 1

    def _tokens(self, text: str) -> list[int]:
        data = text.encode("utf-8", "replace")[:_MOST_BYTES]
        size = len(data) + 4  # each vocabulary has its own marks around a text
        buffer = (llama_cpp.llama_token * size)()
        vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        count = llama_cpp.llama_tokenize(vocabulary, data, len(data), buffer, size, True, False)  # noqa: FBT003 - C call
        if count <= 0:
            raise EngineUnavailable(f"{self.name} makes no tokens of a text")
        return cut(buffer[:count], _MOST_TOKENS)

    def _open_context(self, threads: int) -> int:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = _MOST_TOKENS  # a text attends to all of itself: no pieces
        params.n_threads = params.n_threads_batch = threads
        params.embeddings, params.no_perf = True, True
        context = llama_cpp.llama_init_from_model(self._model, params)
        if not context:
            raise EngineUnavailable(f"{self.name} cannot be used as a sentence encoder")
        if llama_cpp.llama_pooling_type(context) in _WITHOUT_VECTORS:
            llama_cpp.llama_free(context)
            raise EngineUnavailable(f"{self.name} makes no vectors of sentences")
        return int(context)
