"""The commands that ``cli.py`` imports on demand."""
