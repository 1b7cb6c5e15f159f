"""The command line: `main.py` dispatches, and every subcommand of `commands.py` is a file of its own.

Commands parse arguments and print results. What they do is in the other rooms, for programs to call.
"""
