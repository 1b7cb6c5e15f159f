"""What the page allows itself beyond the limits of one request (`modeling_sigma/serving/request_limits.py`)."""

from __future__ import annotations


DELETE_EVERY, DELETE_AFTER = 600, 3600  # seconds: of uploads and of what visitors teach
MAX_FILE_SIZE = "50mb"
MAX_DRAWN = 600  # frames: a long clip moves in larger steps
# Of reading one file, drawing included. Poses are estimated in videos first.
WORK_SECONDS, VIDEO_SECONDS = 60, 300
MAX_WAITING = 20  # people; the next ones are told to come back
NUM_WORKERS = 2
