"""GGUF files that cannot be served, each for one reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np
from support import tiny_model

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, INNER, STATE, STEP_RANK, CONVOLUTION = 64, 128, 16, 4, 4


def rename_token(model: Path, path: Path, token: str) -> Path:
    """A copy in which a template token is spelled otherwise."""
    other = token.replace("im", "xx")
    path.write_bytes(model.read_bytes().replace(token.encode(), other.encode()))
    return path


def unmark_specials(model: Path, path: Path) -> Path:
    """A copy in which the template tokens are words like any other that was added to the vocabulary."""
    control, added = (
        np.full(len(tiny_model.SPECIALS), kind, dtype="<i4").tobytes()
        for kind in (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)
    )
    ordinary = np.full(256, gguf.TokenType.NORMAL, dtype="<i4").tobytes()
    data = model.read_bytes()
    assert ordinary + control in data
    path.write_bytes(data.replace(ordinary + control, ordinary + added))
    return path


def write_recurrent_model(path: Path) -> Path:
    """One layer of Mamba with the ChatML vocabulary."""
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(CONVOLUTION)
    writer.add_ssm_inner_size(INNER)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(STEP_RANK)
    writer.add_layer_norm_rms_eps(1e-6)
    tiny_model.add_vocabulary(writer)
    shapes = {
        "token_embd.weight": (256 + len(tiny_model.SPECIALS), WIDTH),
        "output_norm.weight": (WIDTH,),
        "blk.0.attn_norm.weight": (WIDTH,),
        "blk.0.ssm_in.weight": (2 * INNER, WIDTH),
        "blk.0.ssm_conv1d.weight": (INNER, CONVOLUTION),
        "blk.0.ssm_conv1d.bias": (INNER,),
        "blk.0.ssm_x.weight": (STEP_RANK + 2 * STATE, INNER),
        "blk.0.ssm_dt.weight": (INNER, STEP_RANK),
        "blk.0.ssm_dt.bias": (INNER,),
        "blk.0.ssm_a": (INNER, STATE),
        "blk.0.ssm_d": (INNER,),
        "blk.0.ssm_out.weight": (WIDTH, INNER),
    }
    for name, shape in shapes.items():
        writer.add_tensor(name, random.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_model_without_vocabulary(path: Path, monkeypatch) -> Path:
    """The tiny model as converters write one whose tokenizer is elsewhere."""

    def no_vocabulary(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("no_vocab")
        writer.add_vocab_size(256 + len(tiny_model.SPECIALS))

    monkeypatch.setattr(tiny_model, "add_vocabulary", no_vocabulary)
    return tiny_model.write_tiny_model(path)
