"""Writes a GGUF small enough to decode in a fraction of a millisecond: random weights, bytes as vocabulary.

What it says means nothing, but everything around it is real: llama.cpp's loader, tokenizer, KV cache and
sampler. Its random bytes are the hardest test of UTF-8 handling there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
WIDTH, LAYERS, HEADS, KV_HEADS, FEED_FORWARD, CONTEXT = 64, 2, 4, 2, 128, 32768


def _byte_symbols() -> list[str]:
    """The printable stand-ins byte-level BPE gives to the 256 bytes (Radford et al., GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    symbols, extra = [], 0
    for byte in range(256):
        if byte in printable:
            symbols.append(chr(byte))
        else:
            symbols.append(chr(256 + extra))
            extra += 1
    return symbols


def add_vocabulary(writer: gguf.GGUFWriter) -> None:
    """Write the bytes and the ChatML tokens as a vocabulary."""
    tokens = [*_byte_symbols(), *SPECIALS]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * len(SPECIALS))
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(value=False)


def write_tiny_model(path: Path, *, seed: int = 0, endless: bool = False) -> Path:
    """Write the model to ``path`` (about 600 kB) and give the path back.

    Its answers end by chance, after some dozens of tokens; those of an ``endless`` one at their limit only.
    """
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    add_vocabulary(writer)

    def weight(name: str, *shape: int, zeros_from: int | None = None) -> None:
        values = (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        values[zeros_from if zeros_from is not None else len(values) :] = 0
        writer.add_tensor(name, values)

    def constant(name: str, size: int, value: float) -> None:
        writer.add_tensor(name, np.full(size, value, dtype=np.float32))

    head, vocabulary = WIDTH // HEADS, 256 + len(SPECIALS)
    weight("token_embd.weight", vocabulary, WIDTH)
    # A token whose row is zero is never among the likeliest.
    weight("output.weight", vocabulary, WIDTH, zeros_from=256 if endless else None)
    constant("output_norm.weight", WIDTH, 1)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        constant(f"{block}.attn_norm.weight", WIDTH, 1)
        constant(f"{block}.ffn_norm.weight", WIDTH, 1)
        for name, rows in (("q", HEADS * head), ("k", KV_HEADS * head), ("v", KV_HEADS * head)):
            weight(f"{block}.attn_{name}.weight", rows, WIDTH)
            constant(f"{block}.attn_{name}.bias", rows, 0)
        weight(f"{block}.attn_output.weight", WIDTH, WIDTH)
        weight(f"{block}.ffn_gate.weight", FEED_FORWARD, WIDTH)
        weight(f"{block}.ffn_up.weight", FEED_FORWARD, WIDTH)
        weight(f"{block}.ffn_down.weight", WIDTH, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
