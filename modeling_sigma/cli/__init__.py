"""The command line: `main.py` dispatches, every subcommand is a file of its own."""
