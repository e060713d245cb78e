"""Measures a chat server from outside, over HTTP, as its clients see it; any OpenAI-compatible server alike."""
