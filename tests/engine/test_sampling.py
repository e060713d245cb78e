"""Tokens are drawn as often as they should be, and never one that is ruled out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webchat.engine.generation import Sampling
from webchat.engine.sampling import Sampler

PLAIN = Sampling(temperature=1.0, top_p=1.0, top_k=0, min_p=0.0, repeat_penalty=1.0, seed=1)
LOGITS = np.random.default_rng(5).normal(0, 3, 500).astype(np.float32)
DRAWS = 4_000


def expected(logits, sampling):
    """The chance of each token, written down as the definitions say, over the whole vocabulary."""
    logits = np.float64(logits)
    kept = np.argsort(-logits)[: sampling.top_k or None]
    chances = np.exp(logits[kept]) / np.exp(logits[kept]).sum()
    enough = next((n for n in range(1, len(kept) + 1) if chances[:n].sum() >= sampling.top_p), len(kept))
    kept = [t for t, c in zip(kept[:enough], chances, strict=False) if c >= sampling.min_p * chances[0]]
    tempered = np.exp((logits[kept] - logits.max()) / sampling.temperature)
    return dict(zip(map(int, kept), tempered / tempered.sum(), strict=True))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 3.0},
        {"top_k": 7},
        {"top_p": 0.8},
        {"min_p": 0.2},
        {"top_k": 40, "top_p": 0.9, "min_p": 0.01, "temperature": 1.3},
    ],
)
def test_tokens_come_as_often_as_their_chances_say(change):
    sampling = Sampling(**{name: getattr(PLAIN, name) for name in PLAIN.__slots__} | change)
    sampler, chances = Sampler(sampling), expected(LOGITS, sampling)
    seen = Counter(sampler.choose(LOGITS.copy()) for _ in range(DRAWS))
    assert set(seen) <= set(chances)
    for token, chance in chances.items():
        deviation = (DRAWS * chance * (1 - chance)) ** 0.5
        assert abs(seen[token] - DRAWS * chance) <= 5 * deviation + 1


@pytest.mark.parametrize("temperature", [0.0, 5e-324, 1e-40, 1e-9])
def test_next_to_no_temperature_takes_the_likeliest(temperature):
    sampler = Sampler(Sampling(temperature=temperature, top_p=1.0, top_k=0, min_p=0.0, repeat_penalty=1.0))
    assert sampler.choose(np.array([1.0, 3.0, 2.999, -40.0], np.float32)) == 1


def test_what_was_said_lately_becomes_less_likely():
    sampler = Sampler(Sampling(temperature=0, repeat_penalty=2.0))
    logits = np.array([4.0, 3.0, -1.0, -1.5], np.float32)
    assert [sampler.choose(logits.copy()) for _ in range(3)] == [0, 1, 0]
    lately = logits.copy()
    sampler.choose(lately)
    assert lately.tolist() == [2.0, 1.5, -1.0, -1.5], "divided once, however often it was said"
    below = Sampler(Sampling(temperature=0, repeat_penalty=2.0))
    assert [below.choose(np.array([-1.0, -1.5], np.float32)) for _ in range(2)] == [0, 1], "less likely, not more"


def test_only_the_last_64_tokens_count():
    sampler = Sampler(Sampling(temperature=0, repeat_penalty=100.0))
    ahead = np.eye(80, dtype=np.float32) + 1
    for token in range(70):
        assert sampler.choose(ahead[token] * 1000 * (np.arange(80) == token)) == token
    fresh = np.ones(80, np.float32)
    sampler.choose(fresh)
    assert [token for token in range(70) if fresh[token] == 1] == list(range(6))


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=40), st.integers(0, 2**70), st.integers(0, 50))
def test_any_logits_give_a_token(logits, seed, top_k):
    sampling = Sampling(temperature=0.7, top_p=0.8, top_k=top_k, min_p=0.05, repeat_penalty=1.1, seed=seed)
    row = np.array(logits, np.float32)
    tokens = [Sampler(sampling).choose(row.copy()) for _ in range(2)]
    assert tokens[0] == tokens[1], "the same seed draws the same"
    assert 0 <= tokens[0] < len(logits)
