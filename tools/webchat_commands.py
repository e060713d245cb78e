"""Runs several webchat commands one after the other, in one process.

Each argument is a command line. Loading all of webchat takes about a second, and `make run` needs three commands.
"""

import sys

from webchat.cli import main

for line in sys.argv[1:]:
    try:
        main(line.split(), prog_name="webchat")
    except SystemExit as end:
        if end.code:
            raise
