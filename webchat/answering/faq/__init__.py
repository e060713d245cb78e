"""The shop's own answers: which entry a question asks for, and how sure that is."""
