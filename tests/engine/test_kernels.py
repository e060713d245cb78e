"""Our kernels against the same arithmetic in numpy, and against themselves: a row is alike whatever is beside it."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize
from support.ggml import graph, rearranged

from webchat.engine.llama_files import kernels

pytestmark = pytest.mark.skipif(not kernels(), reason="our kernels are not compiled in: no AVX2")

BLOCK = 32  # values of the right-hand side that share a scale
BYTES = {"q4_k": (256, 144), "q5_0": (32, 22), "q6_k": (256, 210), "q8_0": (32, 34)}
SCALES = {"q4_k": (0, 2), "q5_0": (0,), "q6_k": (208,), "q8_0": (0,)}  # where a unit holds numbers in half precision


def weights(kind, rows, columns, seed=0):
    """Any bytes are weights; but their scales have to be numbers."""
    random = np.random.default_rng(seed)
    length, size = BYTES[kind]
    units = random.integers(0, 256, (rows, columns // length, size), np.uint8)
    for at in SCALES[kind]:
        scales = (random.standard_normal(units.shape[:2]) / 100).astype(np.float16)
        units[..., at : at + 2] = scales[..., None].view(np.uint8)
    return units


def values(kind, units):
    return dequantize(units.reshape(len(units), -1), gguf.GGMLQuantizationType[kind.upper()]).astype(np.float64)


def rounded(x):
    """The right-hand side in eight bits, as numbers."""
    blocks = x.reshape(len(x), -1, BLOCK)
    largest = np.abs(blocks).max(axis=-1, keepdims=True)
    inverse = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
    return (np.rint(blocks * inverse).astype(np.float64) * (largest / np.float32(127))).reshape(x.shape)


def product(kind, units, x, threads=2):
    rows, columns = len(units), x.shape[1]
    with graph(threads) as made:
        matrix = made.tensor(kind, (rows, columns), units, rearranged())
        operation = made.product(matrix, made.tensor("f32", x.shape, x))
        return made.result(operation, (len(x), rows))


def inputs(rows, columns, seed=1):
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def assert_right(kind, units, x, **options):
    found = product(kind, units, x, **options)
    of_file, of_right = values(kind, units), rounded(x)
    possible = np.abs(of_right) @ np.abs(of_file).T + 1e-30
    assert np.max(np.abs(found - of_right @ of_file.T) / possible) < 1e-6


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7, 8, 13])
def test_products_are_right(kind, rows):
    assert_right(kind, weights(kind, 48, 512), inputs(rows, 512))


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("columns", [256, 768, 1024, 1280, 4864])
def test_products_are_right_in_any_length(kind, columns):
    assert_right(kind, weights(kind, 16, columns), inputs(6, columns))


@pytest.mark.parametrize("kind", ["q5_0", "q8_0"])
@pytest.mark.parametrize("columns", [32, 96, 896])
def test_products_are_right_where_columns_are_no_multiple_of_256(kind, columns):
    assert_right(kind, weights(kind, 16, columns), inputs(5, columns))


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("byte", [0x00, 0x7F, 0x80, 0xFF])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_integers_do_not_overflow(kind, byte, sign):
    units = np.full_like(weights(kind, 16, 512), byte)
    for at in SCALES[kind]:
        units[..., at : at + 2] = np.array([1], np.float16).view(np.uint8)
    assert_right(kind, units, np.full((5, 512), sign, np.float32))


@pytest.mark.parametrize("kind", BYTES)
def test_nothing_times_anything_is_nothing(kind):
    assert not product(kind, weights(kind, 16, 256), np.zeros((3, 256), np.float32)).any()


@pytest.mark.parametrize("kind", BYTES)
def test_a_row_is_the_same_alone_and_among_others_and_on_any_number_of_threads(kind):
    units, x = weights(kind, 160, 1280), inputs(17, 1280)
    together = product(kind, units, x, threads=3)
    for count in (1, 2, 3, 4, 6, 7):
        assert np.array_equal(product(kind, units, x[:count], threads=1), together[:count])


# ---- attention -----------------------------------------------------------------------------------------------


def attention(q, k, v, seen, threads=2):
    """q: heads x rows x length; k, v: key heads x cells x length; seen: rows x cells."""
    mask = np.where(seen, np.float16(0), np.float16(-np.inf))
    with graph(threads) as made:
        operation = made.attention(
            made.tensor("f32", q.shape, q),
            made.tensor("f16", k.shape, k),
            made.tensor("f16", v.shape, v),
            made.tensor("f16", mask.shape, mask),
            0.125,
        )
        heads, rows, _ = q.shape
        return made.result(operation, (rows, heads, v.shape[-1]))


def expected(q, k, v, seen):
    share = q.shape[0] // k.shape[0]
    k, v = (np.repeat(x.astype(np.float64), share, axis=0) for x in (k, v))
    scores = np.where(seen, 0.125 * q.astype(np.float64) @ k.transpose(0, 2, 1), -np.inf)
    parts = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (parts / parts.sum(axis=-1, keepdims=True) @ v).transpose(1, 0, 2)


def some(heads, key_heads, rows, cells, length=64):
    random = np.random.default_rng(3)
    q = random.standard_normal((heads, rows, length)).astype(np.float32)
    k, v = (random.standard_normal((key_heads, cells, length)).astype(np.float16) for _ in range(2))
    seen = random.random((rows, cells)) < 0.4
    seen[:, 0] = True
    return q, k, v, seen


@pytest.mark.parametrize("rows", [1, 2, 5, 70])
@pytest.mark.parametrize("cells", [1, 7, 256, 700])
@pytest.mark.parametrize(("heads", "key_heads", "length"), [(14, 2, 64), (4, 4, 128), (12, 2, 16)])
def test_attention_is_right(rows, cells, heads, key_heads, length):
    asked = some(heads, key_heads, rows, cells, length)
    assert np.max(np.abs(attention(*asked) - expected(*asked))) < 1e-5


def test_attention_to_values_that_are_far_apart():
    q, k, v, seen = some(4, 2, 3, 100)
    asked = 200 * q, k, v, seen
    assert np.max(np.abs(attention(*asked) - expected(*asked))) < 1e-4


def test_attention_is_the_same_wherever_the_cells_lie_and_whatever_is_beside_it():
    q, k, v, seen = some(14, 2, 9, 300)
    places = np.random.default_rng(5).permutation(300)
    together = attention(q, k, v, seen)
    elsewhere = attention(q, k[:, places], v[:, places], seen[:, places], threads=1)
    alone = np.concatenate([attention(q[:, [row]], k, v, seen[[row]]) for row in range(9)])
    assert np.array_equal(alone, together)
    assert np.mean(elsewhere != together) < 1e-3, "but for a rounding in the last bit, rarely"


def test_who_sees_nothing_gets_nothing():
    q, k, v, seen = some(4, 2, 2, 40)
    seen[1] = False
    found = attention(q, k, v, seen)
    assert np.isfinite(found).all()
    assert not found[1].any()


def activated(x, threads=2):
    with graph(threads) as made:
        return made.result(made.gelu(made.tensor("f32", x.shape, x)), x.shape)


def exact_gelu(x):
    x = x.astype(np.float64)
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(1, 8), (14, 1536), (3, 8), (64, 40)])
def test_activations_are_those_of_numpy(shape, threads):
    x = 4 * np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    assert np.max(np.abs(activated(x, threads) - exact_gelu(x))) < 1e-6


def test_activations_of_the_largest_numbers_are_themselves_or_nothing():
    x = np.array([[-3e38, -1e4, -12, -0.0, 0.0, 12, 1e4, 3e38]], np.float32)
    found = activated(x)
    assert np.isfinite(found).all()
    assert (found[0, 5:] == x[0, 5:]).all()
    assert np.max(np.abs(found[0, :5])) < 1e-30
