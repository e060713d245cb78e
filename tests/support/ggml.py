"""Computes single operations with ggml's processor backend, to hold kernels against arithmetic in numpy."""

from __future__ import annotations

import ctypes as c
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from webchat.engine.llama_files import TYPES, declare

if TYPE_CHECKING:
    from collections.abc import Iterator

_P, _I, _SIZE, _F = c.c_void_p, c.c_int64, c.c_size_t, c.c_float
_MEMORY = 1 << 20  # of descriptions of tensors


class _Params(c.Structure):
    _fields_ = (("size", _SIZE), ("memory", _P), ("no_alloc", c.c_bool))


init = declare("ggml_init", _P, _Params)
free = declare("ggml_free", None, _P)
new_tensor = declare("ggml_new_tensor", _P, _P, c.c_int, c.c_int, c.POINTER(_I))
mul_mat = declare("ggml_mul_mat", _P, _P, _P, _P)
flash_attention = declare("ggml_flash_attn_ext", _P, _P, _P, _P, _P, _P, _F, _F, _F)
gelu = declare("ggml_gelu", _P, _P, _P)
new_graph = declare("ggml_new_graph", _P, _P)
expand = declare("ggml_build_forward_expand", None, _P, _P)
size_of = declare("ggml_nbytes", _SIZE, _P)
set_data = declare("ggml_backend_tensor_set", None, _P, _P, _SIZE, _SIZE)
get_data = declare("ggml_backend_tensor_get", None, _P, _P, _SIZE, _SIZE)
alloc = declare("ggml_backend_alloc_ctx_tensors_from_buft", _P, _P, _P)
free_buffer = declare("ggml_backend_buffer_free", None, _P)
cpu = declare("ggml_backend_cpu_init", _P)
set_threads = declare("ggml_backend_cpu_set_n_threads", None, _P, c.c_int)
free_backend = declare("ggml_backend_free", None, _P)
compute = declare("ggml_backend_graph_compute", c.c_int, _P, _P)
ordinary = declare("ggml_backend_cpu_buffer_type", _P)
registry = declare("ggml_backend_cpu_reg", _P)
device = declare("ggml_backend_reg_dev_get", _P, _P, _SIZE)
address_of = declare("ggml_backend_reg_get_proc_address", _P, _P, c.c_char_p)


def rearranged() -> object:
    """The first of the buffer types that rearrange matrices: ours, where it is compiled in."""
    find = c.CFUNCTYPE(c.POINTER(_P), _P)(address_of(registry(), b"ggml_backend_dev_get_extra_bufts"))
    return find(device(registry(), 0))[0]


class Graph:
    """Tensors and the operations on them. Shapes are numpy's: ggml's dimensions in reverse."""

    def __init__(self, threads: int) -> None:
        self._contexts, self._buffers = [], []
        self._backend = cpu()
        set_threads(self._backend, threads)
        self._work = self._context()

    def tensor(self, kind: str, shape: tuple[int, ...], data: np.ndarray, buffer_type: object = None) -> object:
        """A tensor that holds ``data``, its bytes as they are in a file."""
        context = self._context()
        made = new_tensor(context, TYPES[kind], len(shape), (_I * len(shape))(*reversed(shape)))
        self._place(context, buffer_type or ordinary())
        whole = np.ascontiguousarray(data)
        assert whole.nbytes == size_of(made)
        set_data(made, whole.ctypes.data, 0, whole.nbytes)
        return made

    def product(self, matrix: object, right: object) -> object:
        return mul_mat(self._work, matrix, right)

    def attention(self, q: object, k: object, v: object, mask: object, scale: float) -> object:
        return flash_attention(self._work, q, k, v, mask, scale, 0.0, 0.0)

    def gelu(self, x: object) -> object:
        return gelu(self._work, x)

    def result(self, operation: object, shape: tuple[int, ...]) -> np.ndarray:
        """Compute it."""
        graph = new_graph(self._work)
        expand(graph, operation)
        self._place(self._work, ordinary())
        assert compute(self._backend, graph) == 0
        out = np.empty(shape, np.float32)
        get_data(operation, out.ctypes.data, 0, out.nbytes)
        return out

    def close(self) -> None:
        for buffer in self._buffers:
            free_buffer(buffer)
        for context in self._contexts:
            free(context)
        free_backend(self._backend)

    def _context(self) -> object:
        self._contexts.append(init(_Params(_MEMORY, None, True)))  # noqa: FBT003 - C structure
        return self._contexts[-1]

    def _place(self, context: object, buffer_type: object) -> None:
        self._buffers.append(alloc(context, buffer_type))


@contextmanager
def graph(threads: int = 2) -> Iterator[Graph]:
    """An empty graph."""
    made = Graph(threads)
    try:
        yield made
    finally:
        made.close()
