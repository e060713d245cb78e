"""llama.cpp behind one class: the only place that imports ``llama_cpp``.

Everything here but ``tokenize`` belongs to the engine's thread: a llama.cpp context used from two threads crashes.
"""

from __future__ import annotations

import ctypes
import os
import threading
from typing import TYPE_CHECKING

import structlog

# Before llama.cpp loads OpenMP: how often its threads look for each other before they sleep, hundreds of times a token.
# On two quiet cores sleeping at once costs a sixth of the speed; with one core taken by something else, spinning for
# long keeps the very thread that is waited for from running (4 tokens/s instead of 20). Some microseconds serve both.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "500")
import llama_cpp
import numpy as np

from webchat.engine.alignment import GROUP, padded
from webchat.engine.generation import EngineUnavailable
from webchat.engine.llama_files import load_model
from webchat.engine.processor import cores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from webchat.engine.generation import Sampling

log = structlog.get_logger(__name__)

_GGML_ERROR = 4
_PENALTY_WINDOW = 64  # tokens looked back at for the repeat penalty: about two sentences
_RANDOM_SEED = 0xFFFFFFFF  # LLAMA_DEFAULT_SEED: llama.cpp draws one


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # ctypes
def _forward_log(level: int, text: bytes, _data: object) -> None:
    if level == _GGML_ERROR:
        log.error("llama.cpp", text=text.decode("utf-8", "replace").strip())


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
        llama_cpp.llama_log_set(_forward_log, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.sequences, self.cells, self.max_batch = sequences, cells, max_batch
        self._spare = sequences  # one more: what fills up groups, and parts of others on their way in and out
        self._samplers: dict[int, ctypes.c_void_p | None] = {}
        self._vocab_lock = threading.Lock()  # a request may tokenise while the engine is being closed
        self._model = load_model(path)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._n_vocab = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self._logits = ctypes.c_float * self._n_vocab
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
        self._free_sampler(sequence)
        if sampling.temperature <= 0 and sampling.repeat_penalty == 1.0:
            self._samplers[sequence] = None  # the largest number: llama.cpp's sampler would first copy all of them
            return
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        for sampler in self._chain(sampling):
            llama_cpp.llama_sampler_chain_add(chain, sampler)
        self._samplers[sequence] = chain

    def decode(self, batch: Sequence[tuple[int, int, list[int], bool]]) -> list[int]:
        """Compute one step; see ``Backend.decode``.

        Raises:
            RuntimeError: llama.cpp refused the batch; the context can no longer be trusted.
        """
        wanted = self._fill(batch)
        status = llama_cpp.llama_decode(self._context, self._batch)
        self.truncate(self._spare, 0)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        return [self._choose(sequence, index) for sequence, index in wanted]

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
        for sequence in list(self._samplers):
            self._free_sampler(sequence)
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        with self._vocab_lock:
            self._vocab = None
            llama_cpp.llama_model_free(self._model)

    def _choose(self, sequence: int, index: int) -> int:
        sampler = self._samplers[sequence]
        if sampler is not None:
            return int(llama_cpp.llama_sampler_sample(sampler, self._context, index))
        address = ctypes.addressof(llama_cpp.llama_get_logits_ith(self._context, index).contents)
        return int(np.frombuffer(self._logits.from_address(address), np.float32).argmax())

    def _fill(self, batch: Sequence[tuple[int, int, list[int], bool]]) -> list[tuple[int, int]]:
        raw, at, wanted, filled = self._batch, 0, [], 0
        for sequence, start, tokens, choose in batch:
            at = self._add(at, sequence, start, tokens)
            if choose:
                raw.logits[at - 1] = 1
                wanted.append((sequence, at - 1))
            if len(tokens) > 1:
                filling = tokens[: padded(len(tokens)) - len(tokens)]
                at = self._add(at, self._spare, filled, filling)
                filled += len(filling)
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

    def _chain(self, sampling: Sampling) -> list[ctypes.c_void_p]:
        chain = []
        if sampling.repeat_penalty != 1.0:
            chain.append(
                llama_cpp.llama_sampler_init_penalties(
                    self._n_vocab, _PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0
                )
            )
        if sampling.temperature <= 0:
            return [*chain, llama_cpp.llama_sampler_init_greedy()]
        if sampling.top_k > 0:
            chain.append(llama_cpp.llama_sampler_init_top_k(sampling.top_k))
        chain.append(llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p > 0:
            chain.append(llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1))
        seed = _RANDOM_SEED if sampling.seed is None else sampling.seed % _RANDOM_SEED
        return [
            *chain,
            llama_cpp.llama_sampler_init_temp(sampling.temperature),
            llama_cpp.llama_sampler_init_dist(seed),
        ]

    def _free_sampler(self, sequence: int) -> None:
        if sampler := self._samplers.pop(sequence, None):
            llama_cpp.llama_sampler_free(sampler)

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
        params.n_ctx = self.cells + GROUP * self.sequences  # and what fills up groups
        params.n_batch = params.n_ubatch = self.max_batch
        params.n_seq_max = self.sequences + 1
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.kv_unified = True  # sequences share cells; without it a partial copy aborts the process
        params.no_perf = True
        context = llama_cpp.llama_init_from_model(self._model, params)
        if not context:
            raise EngineUnavailable(f"no memory for {self.cells} cells of KV cache beside the model")
        return int(context)


def _address(buffer: bytearray) -> ctypes.Array[ctypes.c_uint8]:
    """The buffer as llama.cpp wants it, without a copy; an array of its length would be a new type each time."""
    return ctypes.cast((ctypes.c_uint8 * 1).from_buffer(buffer), ctypes.POINTER(ctypes.c_uint8))  # type: ignore[return-value]


def _identity(path: Path) -> str:
    at = path.stat()
    return f"{path.name} {at.st_size} {at.st_mtime_ns} llama-cpp-python {llama_cpp.__version__}"
