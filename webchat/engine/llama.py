"""llama.cpp behind one class: with its files' readers (``llama_*``) the only place that imports ``llama_cpp``.

Everything here but ``tokenize`` belongs to the engine's thread: a llama.cpp context used from two threads crashes.
"""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING

import llama_cpp
import numpy as np

from webchat.engine.generation import EngineUnavailable
from webchat.engine.llama_files import kernels, listen, load_model
from webchat.engine.processor import cores
from webchat.engine.sampling import Sampler

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from webchat.engine.backend import Part
    from webchat.engine.generation import Sampling


class LlamaBackend:
    """A GGUF file loaded for batched decoding.

    Args:
        path: the GGUF file; its vocabulary must have the ChatML tokens.
        sequences: how many token sequences the KV cache tells apart.
        cells: how many tokens it holds in all.
        threads: processor threads, 0 for every core this process may use.
        max_batch: tokens of one step; a prompt is read in such pieces, and between two of them a stop is heard.

    Raises:
        EngineUnavailable: the file is missing, no GGUF, too large for this machine or cannot be served.
    """

    def __init__(self, path: Path, *, sequences: int, cells: int, threads: int = 0, max_batch: int = 128) -> None:
        listen()
        self.sequences, self.cells, self.max_batch = sequences, cells, max_batch
        self._spare = sequences  # one more: parts of others on their way in and out
        self._samplers: dict[int, Sampler] = {}
        self._vocab_lock = threading.Lock()  # a request may tokenise while the engine is being closed
        self._model = load_model(path)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._Row = ctypes.c_float * llama_cpp.llama_vocab_n_tokens(self._vocab)
        try:
            self._require_servable(path)
            self._context = self._open_context(threads or cores())
        except EngineUnavailable:
            llama_cpp.llama_model_free(self._model)
            raise
        self._memory = llama_cpp.llama_get_memory(self._context)
        self.identity = _identity(path)
        self._batch = llama_cpp.llama_batch_init(max_batch, 0, 1)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of a text; without ``special``, text that spells a template token stays text.

        Raises:
            EngineUnavailable: the model has been closed.
        """
        data = text.encode()
        size = len(data) + 2
        buffer = (llama_cpp.llama_token * size)()
        with self._vocab_lock:
            if self._vocab is None:
                raise EngineUnavailable("the model has been closed")
            count = llama_cpp.llama_tokenize(self._vocab, data, len(data), buffer, size, False, special)  # noqa: FBT003 - C call
        if count < 0:
            raise ValueError("the tokenizer produced more tokens than bytes")
        return list(buffer[:count])

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; template tokens stand for none."""
        buffer = ctypes.create_string_buffer(256)
        length = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)  # noqa: FBT003 - C call
        return buffer.raw[: max(length, 0)]

    def is_end(self, token: int) -> bool:
        """Whether this token ends an answer."""
        return bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))

    def begin(self, sequence: int, sampling: Sampling) -> None:
        """Set up how tokens of this sequence are chosen."""
        self._samplers[sequence] = Sampler(sampling)

    def decode(self, batch: Sequence[Part]) -> list[list[int]]:
        """Compute one step; see ``Backend.decode``.

        Raises:
            RuntimeError: llama.cpp refused the batch; the context can no longer be trusted.
        """
        wanted = self._fill(batch)
        status = llama_cpp.llama_decode(self._context, self._batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        return [self._choose(*part) for part in wanted]

    def truncate(self, sequence: int, length: int) -> None:
        """Keep the first ``length`` tokens of a sequence."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def copy(self, source: int, target: int, length: int) -> None:
        """Let ``target`` share the first ``length`` tokens of ``source``."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def save(self, sequence: int, start: int = 0, end: int = -1) -> bytearray:
        """The keys and values of a sequence's tokens: 12 KB each for the default model; see ``Backend.save``."""
        llama_cpp.llama_memory_seq_cp(self._memory, sequence, self._spare, start, end)
        try:
            state = bytearray(llama_cpp.llama_state_seq_get_size(self._context, self._spare))
            written = llama_cpp.llama_state_seq_get_data(self._context, _address(state), len(state), self._spare)
        finally:
            self.truncate(self._spare, 0)
        if written != len(state):
            raise RuntimeError("llama.cpp could not save a state")
        return state

    def load(self, sequence: int, state: bytearray) -> None:
        """Put a saved state behind what a sequence holds.

        Raises:
            RuntimeError: llama.cpp refused it.
        """
        try:
            if not llama_cpp.llama_state_seq_set_data(self._context, _address(state), len(state), self._spare):
                raise RuntimeError("a saved state does not fit the cache")
            llama_cpp.llama_memory_seq_cp(self._memory, self._spare, sequence, 0, -1)
        finally:
            self.truncate(self._spare, 0)

    def close(self) -> None:
        """Free the model."""
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        with self._vocab_lock:
            self._vocab = None
            llama_cpp.llama_model_free(self._model)

    def _logits(self, index: int) -> np.ndarray:
        address = ctypes.addressof(llama_cpp.llama_get_logits_ith(self._context, index).contents)
        return np.frombuffer(self._Row.from_address(address), np.float32)

    def _choose(self, sequence: int, row: int, guessed: list[int]) -> list[int]:
        """The token behind a row, and behind the rows after it as long as these hold what was chosen."""
        sampler = self._samplers[sequence]
        chosen: list[int] = []
        for token in (*guessed, None):
            chosen.append(sampler.choose(self._logits(row + len(chosen))))
            if chosen[-1] != token:
                break
        return chosen

    def _fill(self, batch: Sequence[Part]) -> list[tuple[int, int, list[int]]]:
        if sum(len(tokens) for _, _, tokens, _ in batch) > self.max_batch:
            raise ValueError("a step of more tokens than there is memory for")
        raw, at, wanted = self._batch, 0, []
        for sequence, start, tokens, choose in batch:
            at = self._add(at, sequence, start, tokens)
            for row in range(at - choose, at):
                raw.logits[row] = 1
            if choose:
                wanted.append((sequence, at - choose, tokens[len(tokens) - choose + 1 :]))
        raw.n_tokens = at
        return wanted

    def _add(self, at: int, sequence: int, start: int, tokens: Sequence[int]) -> int:
        raw = self._batch
        for offset, token in enumerate(tokens):
            raw.token[at] = token
            raw.pos[at] = start + offset
            raw.n_seq_id[at] = 1
            raw.seq_id[at][0] = sequence
            raw.logits[at] = 0
            at += 1
        return at

    def _require_servable(self, path: Path) -> None:
        if llama_cpp.llama_model_is_recurrent(self._model) or llama_cpp.llama_model_is_hybrid(self._model):
            raise EngineUnavailable(f"{path.name} is a recurrent model: its state cannot be shared between prompts")
        if llama_cpp.llama_vocab_type(self._vocab) == llama_cpp.LLAMA_VOCAB_TYPE_NONE:
            raise EngineUnavailable(f"{path.name} has no vocabulary")
        for token in ("<|im_start|>", "<|im_end|>"):
            if len(self.tokenize(token, special=True)) != 1:
                raise EngineUnavailable(
                    f"{path.name} has no token {token}: only models with the ChatML template can be served"
                )
            if len(self.tokenize(token)) == 1:
                raise EngineUnavailable(f"{path.name} does not mark {token} as special: a visitor could forge turns")

    def _open_context(self, threads: int) -> int:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = self.cells
        params.n_seq_max = self.sequences + 1
        params.n_batch = params.n_ubatch = max(self.max_batch, params.n_seq_max)  # fewer tokens than that abort it
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.kv_unified = True  # sequences share cells; without it a partial copy aborts the process
        params.no_perf = True
        context = llama_cpp.llama_init_from_model(self._model, params)
        if not context:
            raise EngineUnavailable(f"no memory for {self.cells} cells of KV cache beside the model")
        return int(context)


def _address(buffer: bytearray) -> ctypes.Array[ctypes.c_uint8]:
    """The buffer as llama.cpp wants it, without a copy; an array of its length would be a new type each time.

    ``ctypes.cast`` would tie it into a circle: megabytes that nobody needs would stay until the next collection.
    """
    return ctypes.byref(ctypes.c_uint8.from_buffer(buffer))  # type: ignore[return-value]


def libraries() -> str:
    """The versions of llama.cpp and of our kernels in it: with a file and a processor, what a measured speed is of."""
    return f"llama-cpp-python {llama_cpp.__version__} {kernels()}"


def _identity(path: Path) -> str:
    at = path.stat()
    return f"{path.name} {at.st_size} {at.st_mtime_ns} {libraries()}"
