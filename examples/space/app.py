"""A web demo of Sigma: sign to the camera or drop a clip, see its skeleton move, read what the model makes of it.

    SIGMA_MODELS="American signs=checkpoints/sigma-wlasl-hands" python examples/space/app.py

Works offline. Its functions are also the tools of an MCP server, at `/gradio_api/mcp/`, where the package mcp is
installed.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from limits import MAX_FILE_SIZE, MAX_WAITING
from model_profile import profile_of
from page import build_page
from page_style import CSS, THEME
from video_reading import why_no_videos

from modeling_sigma.serving.upload_folder import open_upload_folder


def model_names() -> dict[str, str]:
    """Name -> folder or Hub name, from the variable SIGMA_MODELS."""
    pairs = [entry.partition("=") for entry in os.environ.get("SIGMA_MODELS", "Demo=sigma-slu").split(",")]
    return {name.strip(): (path or name).strip() for name, _, path in pairs}


if __name__ == "__main__":
    folder = open_upload_folder("sigma-space")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    examples = folder / "examples"
    examples.mkdir()
    kept = os.environ.get("SIGMA_DICTIONARY")
    profiles = {name: profile_of(name, path) for name, path in model_names().items()}
    page = build_page(profiles, examples, why_no_videos(), Path(kept) if kept else None)
    page.queue(max_size=MAX_WAITING).launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
        theme=THEME,
        css=CSS,
        allowed_paths=[str(examples)],
        max_file_size=MAX_FILE_SIZE,
        footer_links=["api", "settings"],
        mcp_server=find_spec("mcp") is not None,
    )
