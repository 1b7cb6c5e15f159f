"""One run and what it leaves behind: its folder, checkpoints, callbacks and records."""
