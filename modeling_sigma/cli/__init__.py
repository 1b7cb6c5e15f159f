"""The command line: `main.py` dispatches, and every subcommand of `commands.py` is a file of its own.

Commands parse arguments and print results. The work itself is done in the other rooms, where programs can call it.
"""
