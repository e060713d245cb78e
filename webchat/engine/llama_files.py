"""llama.cpp's work on whole files: what a file holds, how it is best loaded, making another of it."""

from __future__ import annotations

import ctypes
import os
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import llama_cpp
import structlog
from llama_cpp._ggml import libggml

from webchat.engine.generation import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import numpy as np

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
OUTPUT, EMBEDDINGS = "output.weight", "token_embd.weight"
_GGML_ERROR = 4
_BUFFER = 64 << 20  # bytes of rows a quantisation holds at a time; llama.cpp's own choice needs a gigabyte


log = structlog.get_logger(__name__)


class _InitParams(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


def declare(name: str, result: object, *arguments: object) -> Callable[..., object]:
    """A function of ggml's C interface that the Python package leaves out."""
    function = getattr(libggml, name)
    function.restype, function.argtypes = result, list(arguments)
    return function  # type: ignore[no-any-return]  # ctypes


_libc = ctypes.CDLL(None)
_open_gguf = declare("gguf_init_from_file", ctypes.c_void_p, ctypes.c_char_p, _InitParams)
_close_gguf = declare("gguf_free", None, ctypes.c_void_p)
_tensor_count = declare("gguf_get_n_tensors", ctypes.c_int64, ctypes.c_void_p)
_tensor_name = declare("gguf_get_tensor_name", ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64)
_tensor_type = declare("gguf_get_tensor_type", ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_registry_of = declare("ggml_backend_reg_by_name", ctypes.c_void_p, ctypes.c_char_p)
_procedure = declare("ggml_backend_reg_get_proc_address", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_device = declare("ggml_backend_reg_dev_get", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_buffer_name = declare("ggml_backend_buft_name", ctypes.c_char_p, ctypes.c_void_p)
_BufferTypes = ctypes.CFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p)
_tensor_size = declare("gguf_get_tensor_size", ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int64)


def kernels() -> str:
    """The name and revision of our own kernels (see ``native/``); empty where they are not compiled in.

    It is the name of the buffer type they keep weights in, first on the list of ggml's processor library.
    """
    llama_cpp.llama_backend_init()  # which loads that library where there is one per generation of processors
    processor = _registry_of(b"CPU")
    if not processor:
        return ""  # none of them suits this machine; loading a model says so
    list_buffers = _BufferTypes(_procedure(processor, b"ggml_backend_dev_get_extra_bufts"))  # type: ignore[call-overload]  # ctypes
    first = list_buffers(_device(processor, 0))[0]
    name: bytes = _buffer_name(first) if first else b""  # type: ignore[assignment]
    return name.decode() if name.startswith(b"CPU_PANELS") else ""


@dataclass(frozen=True)
class Tensor:
    """One matrix or vector of a file.

    Attributes:
        name: as the model's graph calls it.
        type: one of ``TYPES``, or ggml's number of another one.
        size: in bytes.
    """

    name: str
    type: str
    size: int


def tensors(path: Path) -> list[Tensor]:
    """What a GGUF file holds, read from its head alone.

    Raises:
        EngineUnavailable: when it is no GGUF file or cut short.
    """
    with open_gguf(path) as file:
        return [_tensor(file, index) for index in range(int(_tensor_count(file)))]  # type: ignore[call-overload]


@contextmanager
def open_gguf(path: Path) -> Iterator[object]:
    """The head of a GGUF file, for ggml's functions.

    Raises:
        EngineUnavailable: when it is no GGUF file or cut short.
    """
    file = _open_gguf(os.fsencode(path), _InitParams(True, None))  # noqa: FBT003 - C structure
    if not file:
        raise _damaged(path)
    try:
        yield file
    finally:
        _close_gguf(file)


def _damaged(path: Path) -> EngineUnavailable:
    return EngineUnavailable(f"{path.name} could not be loaded: it is no GGUF file of a known architecture, or damaged")


def bytes_per_token(path: Path) -> int:
    """How much of a file one token takes: all matrices, but of a table of embeddings that is no output too, one row.

    Raises:
        EngineUnavailable: when it is no GGUF file or cut short.
    """
    found = tensors(path)
    tied = all(tensor.name != OUTPUT for tensor in found)
    return sum(tensor.size for tensor in found if tied or tensor.name != EMBEDDINGS)


def types(path: Path) -> dict[str, str]:
    """The type of each tensor of a GGUF file; see ``tensors``."""
    return {tensor.name: tensor.type for tensor in tensors(path)}


def _tensor(file: object, index: int) -> Tensor:
    name: bytes = _tensor_name(file, index)  # type: ignore[assignment]
    number: int = _tensor_type(file, index)  # type: ignore[assignment]
    size: int = _tensor_size(file, index)  # type: ignore[assignment]
    return Tensor(name.decode("utf-8", "replace"), _NAMES.get(number, str(number)), size)


def load_model(path: Path) -> int:
    """The model in a file, to be freed with ``llama_model_free``.

    Raises:
        EngineUnavailable: the file is missing, no GGUF of a known architecture, or too large for this machine.
    """
    if not path.is_file():
        raise EngineUnavailable(f"there is no model file at {path}")
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = 0
    # Read, not mapped: matrices are copied to rearrange them anyway, and the first steps would bring pages of the file
    # around each tensor they still use back into the process, 76 MB and more.
    params.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise _damaged(path)
    return int(model)


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
    params.tt_overrides = _overrides(types(source) | dict(kinds))
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
        override.pattern = f"^{re.escape(name)}$".encode()
        override.type = TYPES[kind] if kind in TYPES else int(kind)
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
        silence()


def listen() -> None:
    """Make llama.cpp ready; it says nothing to a terminal, and its errors to the log of a server."""
    if threading.current_thread() is threading.main_thread():
        silence()  # a command, and Ctrl-C must reach it
    else:
        llama_cpp.llama_log_set(_forward_log, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # ctypes
def _forward_log(level: int, text: bytes, _data: object) -> None:
    if level == _GGML_ERROR:
        log.error("llama.cpp", text=text.decode("utf-8", "replace").strip())


def silence() -> None:
    """Let llama.cpp say nothing; what matters it also returns.

    The listener is a function in C that changes nothing. One in Python could be where Ctrl-C arrives, and ctypes
    swallows what a callback raises.
    """
    llama_cpp.llama_log_set(ctypes.cast(_libc.abs, llama_cpp.llama_log_callback), ctypes.c_void_p(0))
