"""Groups of commands that ``cli.py`` joins."""
