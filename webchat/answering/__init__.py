"""WORDS: a question in, a stream of events out. Knows nothing of Flask."""
