"""Measures the loop that tutorials teach: transformers in 32-bit floats, the whole text anew for every token.

Usage: PYTHON tools/measure_naive.py MODEL [TOKENS]
MODEL: a GGUF file. PYTHON: one with the packages below, in an environment of its own; the product needs none:
    python -m venv naive && naive/bin/pip install torch transformers accelerate gguf
Compare with what tools/measure_engine.py prints for one answer with the same file.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MESSAGES = [
    {"role": "system", "content": "你是一家网上茶具店的客服。请用热情、清楚的中文回答顾客的问题。"},
    {"role": "user", "content": "第一次使用紫砂壶之前怎样开壶？"},
]


def main() -> None:
    """Write an answer token by token and print how fast."""
    file = Path(sys.argv[1])
    tokens = int(sys.argv[2]) if len(sys.argv) > 2 else 64  # noqa: PLR2004 - a position on the command line
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
    prompt = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_tensors="pt", return_dict=False)
    text = prompt
    with torch.no_grad():
        model(text, use_cache=False)  # warm
        began = time.perf_counter()
        for _ in range(tokens):
            likeliest = model(text, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)
            text = torch.cat([text, likeliest], dim=-1)
        seconds = time.perf_counter() - began
    print(tokenizer.decode(text[0, prompt.shape[1] :]))
    print(f"prompt      {prompt.shape[1]} tokens")
    print(f"tokens/s    {tokens / seconds:.2f}")
    print(f"memory      {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


if __name__ == "__main__":
    main()
