"""The real encoders: what llama.cpp and our shortcuts compute is what the weights say, for as long as one likes."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import gguf
import numpy as np
import pytest

from webchat.answering.example_faq import read_example
from webchat.answering.normalise import normalise
from webchat.engine.e5_file import WEIGHTS, embeddings, row_bytes
from webchat.engine.encoders import E5, USE, open_encoder
from webchat.engine.llama_encoder import LlamaEncoder
from webchat.engine.use_encoder import _CHUNKS, LAYERS, UseEncoder
from webchat.engine.vocabulary import Vocabulary

pytestmark = pytest.mark.model

HEADS, EPSILON = 12, 1e-12
ENCODES, SETTLED = 3000, 500
SLACK = 2_000_000  # bytes: what allocators keep


@pytest.fixture(scope="module")
def sentences():
    """Fifty questions, short and long, in both languages."""
    found = [normalise(text) for entry in read_example() for text in entry.phrasings]
    chosen = found[:: len(found) // 40][:40]
    return [*chosen, *("".join(found[at : at + 4]) for at in range(6)), "how do i get a refund", "", "👍", "iphone 16"]


@pytest.fixture(scope="module")
def folder(real_encoders):
    return real_encoders.models_dir / "encoders"


def gelu(x):
    """The curve that llama.cpp takes, too: Hendrycks and Gimpel's with the hyperbolic tangent."""
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


class PlainBert:
    """The forward pass as the paper has it, in 64 bits, one sentence at a time."""

    def __init__(self, folder):
        tensors = gguf.GGUFReader(folder / WEIGHTS).tensors
        self.w = {each.name: np.float64(gguf.quants.dequantize(each.data, each.tensor_type)) for each in tensors}
        self.width = len(self.w["token_embd_norm.weight"])
        self.vocabulary = Vocabulary(folder, row_bytes(self.width))

    def embed(self, text):
        pieces = self.vocabulary.pieces("query: " + text, 64)
        x = embeddings(self.vocabulary.rows(pieces)).astype(np.float64)
        x = self.norm(x + self.w["position_embd.weight"][: len(x)] + self.w["token_types.weight"][0], "token_embd_norm")
        for number in range(12):
            block = f"blk.{number}."
            x = self.norm(x + self.attention(x, block), block + "attn_output_norm")
            inner = gelu(self.linear(x, block + "ffn_up"))
            x = self.norm(x + self.linear(inner, block + "ffn_down"), block + "layer_output_norm")
        mean = x.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def attention(self, x, block):
        q, k, v = (np.split(self.linear(x, block + name), HEADS, axis=1) for name in ("attn_q", "attn_k", "attn_v"))
        heads = []
        for at in range(HEADS):
            scores = np.exp(q[at] @ k[at].T / np.sqrt(self.width / HEADS))
            heads.append(scores / scores.sum(axis=1, keepdims=True) @ v[at])
        return self.linear(np.concatenate(heads, axis=1), block + "attn_output")

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, x, name):
        x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + EPSILON)
        return x * self.w[name + ".weight"] + self.w[name + ".bias"]


def test_llama_cpp_computes_what_the_weights_say(folder, sentences):
    plain = PlainBert(folder / E5)
    with closing(LlamaEncoder(folder / E5)) as encoder:
        cosines = np.array([encoder.embed(text) @ plain.embed(text) for text in sentences])
    plain.vocabulary.close()
    assert len(cosines) == 50
    assert cosines.mean() >= 0.999
    assert cosines.min() >= 0.998


def plain_use(layers, vocabulary, text):
    """The same sentence, piece by piece and neighbour by neighbour, in 64 bits."""
    pieces = vocabulary.pieces(text, 64)
    rows = [
        row * layers["scale"][piece % _CHUNKS] + layers["lo"][piece % _CHUNKS]
        for piece, row in zip(pieces, vocabulary.rows(pieces).astype(np.float64), strict=True)
    ]
    normed = [
        norm(row @ layers["proj"] + layers["proj_b"], layers["proj_gain"], layers["proj_offset"], layers)
        for row in rows
    ]
    features = [list(row) for row in rows]
    for which, (order, before) in enumerate(((2, 0), (3, 1), (5, 2))):
        hidden = [row[256 * which : 256 * (which + 1)] for row in normed]
        for number in (1, 2):
            kernel = layers[f"w{number}_{order}"].reshape(order, 256, 256)
            hidden = [
                hidden[at]
                + np.maximum(
                    layers[f"b{number}_{order}"]
                    + sum(
                        hidden[at + step - before] @ kernel[step]
                        for step in range(order)
                        if 0 <= at + step - before < len(hidden)
                    ),
                    0,
                )
                for at in range(len(hidden))
            ]
        for row, more in zip(features, hidden, strict=True):
            row.extend(more)
    projected = [
        norm(np.array(row), layers["ln_g"], layers["ln_b"], layers) @ layers["cnn_W"] + layers["cnn_b"]
        for row in features
    ]
    mean = sum(projected) / np.sqrt(len(projected))
    first = np.maximum(mean @ layers["d0"], 0)
    second = np.maximum(mean @ layers["p1"] + first @ layers["d1"], 0)
    out = np.tanh(second @ layers["p3"] + np.maximum(second @ layers["d2"], 0) @ layers["d3"])
    return out / np.linalg.norm(out)


def norm(x, gain, offset, layers):
    return (x - x.mean()) / np.sqrt(x.var() + layers["eps"]) * gain + offset


def test_the_shortcuts_of_the_other_change_nothing(folder, sentences):
    with np.load(folder / USE / LAYERS) as packed:
        layers = {name: packed[name].astype(np.float64) for name in packed.files}
    with closing(UseEncoder(folder / USE)) as encoder:
        for text in sentences:
            assert encoder.embed(text) @ plain_use(layers, encoder._vocabulary, text) > 0.99999


def test_the_same_text_has_the_same_vector_after_a_restart_and_among_others(real_encoders, sentences):
    with closing(open_encoder(real_encoders)) as first, closing(open_encoder(real_encoders)) as second:
        together = first.encode(sentences)
        assert np.array_equal(together, second.encode(sentences[::-1], urgent=False)[::-1])
        assert np.array_equal(together[7], first.encode([sentences[7]])[0])


def test_what_means_the_same_is_nearer(real_encoders):
    with closing(open_encoder(real_encoders)) as encoder:
        asked, same, other = encoder.encode(["怎么申请退款", "我想把钱退回来", "今天天气怎么样"])
        english = encoder.encode(["how do i get a refund"])[0]
    assert asked @ same > asked @ other + 0.2
    assert asked @ english > asked @ other + 0.2


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says what is in memory")
def test_thousands_of_texts_leave_memory_as_it_was(real_encoders, sentences):
    def own_memory():
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"^RssAnon:\s+(\d+)", status, re.MULTILINE)[1]) * 1024

    with closing(open_encoder(real_encoders)) as encoder:
        for number in range(ENCODES):
            if number == SETTLED:
                settled = own_memory()
            encoder.encode([f"{number}{sentences[number % 50]}"])
        assert own_memory() - settled < SLACK
