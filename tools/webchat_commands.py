"""Runs several webchat commands one after the other, in one process.

Each argument is a command line. Loading all of webchat takes a second or two, and `make run` needs four commands.
The last of them, `serve`, becomes gunicorn in this same process, so that signals reach it.
"""

import sys

from webchat.cli import main

for line in sys.argv[1:]:
    try:
        main(line.split(), prog_name="webchat")
    except SystemExit as end:
        if end.code:
            raise
