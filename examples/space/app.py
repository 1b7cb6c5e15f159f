"""A web demo of Sigma: drop a skeleton file (or a video), see it move, read what the model makes of it.

    SIGMA_MODELS="Demo=./sigma-slu" python examples/space/app.py

Works offline. Videos are offered where a pose estimator is installed.
"""

from __future__ import annotations

import base64
import html
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.cli.predict import load_predictor
from modeling_sigma.io import load_clip, save_clip
from modeling_sigma.io.video import SUFFIXES as VIDEO_SUFFIXES
from modeling_sigma.pose_clip import PoseClip
from modeling_sigma.viz.attention_map import draw_attention_map
from modeling_sigma.viz.model_maps import attention_of
from modeling_sigma.viz.skeleton_animation import save_animation


LANGUAGES = ("English", "German", "Chinese")
MAX_SECONDS = 60
DELETE_EVERY, DELETE_AFTER = 600, 3600  # seconds: of uploads
NOTICE = (
    "A machine reads, and it often reads wrongly. It does not understand a sign language, and it does not replace an "
    "interpreter. What you upload is processed on this server and deleted within two hours."
)
MAP_TITLE = "Where the model looked for each word"
# System fonts: nothing is fetched from elsewhere.
THEME = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"], text_size="lg")
CSS = ".alert {border-left: 6px solid #b03a2e; padding: 0.6em 1em; font-size: 1.1em} .skeleton img {max-width: 100%}"


def model_names() -> dict[str, str]:
    """Name -> folder or Hub name, from the variable SIGMA_MODELS."""
    pairs = [entry.partition("=") for entry in os.environ.get("SIGMA_MODELS", "Demo=sigma-slu").split(",")]
    return {name.strip(): (path or name).strip() for name, _, path in pairs}


def example_files(folder: Path) -> list[str]:
    """Clips of the invented sign language, made anew: nobody's signing."""
    language = SyntheticSigns()
    paths = []
    for name, sample in (
        ("sentence 1", language.sentence(1006, split="test")),
        ("sign 1", language.isolated(3, split="test")),
    ):
        path = folder / f"{name}.npz"
        save_clip(path, sample.clip)
        paths.append(str(path))
    return paths


class Reader:
    """Loads each model once, and turns files into what the page shows."""

    def __init__(self, models: dict[str, str]) -> None:
        self.models = models
        self.loaded: dict[str, Any] = {}

    def read(self, file: str | None, model: str, language: str) -> tuple[str, str, str, Image.Image | None]:
        """Message, text, moving skeleton (HTML) and attention map of a file."""
        try:
            if not file:
                raise ValueError("No file yet: drop a skeleton file or choose an example, then press Read.")
            clip = load_clip(file)
            if clip.duration is not None and clip.duration > MAX_SECONDS:
                raise ValueError(f"This clip is {clip.duration:.0f} seconds long: please cut it to {MAX_SECONDS}.")
            pipe = self._pipeline(model)
            text, picture = self._result(pipe, clip, language)
        except (ValueError, OSError, ImportError) as error:
            said = str(error).replace(str(file), Path(file).name) if file else str(error)
            return f'<div class="alert" role="alert">{html.escape(said)}</div>', "", "", None
        caption = text.splitlines()[0] if text else ""
        return '<div role="status">Done.</div>', text, moving_skeleton(clip, caption), picture

    def _pipeline(self, model: str) -> Any:
        if model not in self.loaded:
            self.loaded[model] = load_predictor(self.models[model])
        return self.loaded[model]

    def _result(self, pipe: Any, clip: PoseClip, language: str) -> tuple[str, Image.Image | None]:
        if pipe.task != "sign-language-translation":
            return "\n".join(f"{entry['label']}  ({entry['score']:.0%})" for entry in pipe(clip)), None
        text = pipe(clip, language=language)["text"]
        try:
            found = attention_of(pipe.model, pipe.processor, clip, language)
        except ValueError:  # it wrote nothing
            return text or "(nothing)", None
        return text, draw_attention_map(found.values, found.words, clip, frames=found.frames, title=MAP_TITLE)


def moving_skeleton(clip: PoseClip, caption: str) -> str:
    """An `img` with the clip as GIF, its caption in the picture and for those who hear the page."""
    with tempfile.TemporaryDirectory() as folder:
        path = save_animation(Path(folder) / "clip.gif", clip, height=300, captions=caption)
        data = base64.b64encode(path.read_bytes()).decode()
    said = html.escape(f"Moving skeleton of {len(clip)} frames, read as: {caption}", quote=True)
    return f'<img alt="{said}" src="data:image/gif;base64,{data}">'


def build_app(models: dict[str, str], folder: Path) -> gr.Blocks:
    """The page."""
    reader = Reader(models)
    has_estimator = any(find_spec(name) is not None for name in ("rtmlib",))
    kinds = [".npz", ".pose", ".pkl", *(VIDEO_SUFFIXES if has_estimator else ())]
    what = "Skeleton file or video" if has_estimator else "Skeleton file (.npz, .pose, .pkl)"
    with gr.Blocks(title="Sigma reads skeletons", delete_cache=(DELETE_EVERY, DELETE_AFTER)) as page:
        gr.Markdown(f"# Sigma reads skeletons\n\n{NOTICE}")
        with gr.Row():
            with gr.Column():
                file = gr.File(label=what, type="filepath", elem_id="file")
                if has_estimator:
                    with gr.Accordion("Or record yourself", open=False):
                        video = gr.Video(sources=["webcam"], show_label=False)
                    video.change(lambda path: path, video, file)
                gr.Examples(example_files(folder), file, label="Examples: an invented sign language")
                model = gr.Dropdown(list(models), value=next(iter(models)), label="Model")
                language = gr.Dropdown(list(LANGUAGES), value=LANGUAGES[0], label="Language to write")
                button = gr.Button("Read", variant="primary", elem_id="read")
                gr.Markdown(f"Files: {', '.join(kinds)}")
            with gr.Column():
                message = gr.HTML(elem_id="message")
                text = gr.Textbox(label="What the model reads", elem_id="text", interactive=False, lines=2)
                skeleton = gr.HTML(elem_id="skeleton", elem_classes="skeleton")
                picture = gr.Image(label=MAP_TITLE, show_label=False, type="pil", elem_id="map")
        button.click(reader.read, [file, model, language], [message, text, skeleton, picture])
    return page


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as examples:
        app = build_app(model_names(), Path(examples))
        app.queue().launch(
            server_name=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
            theme=THEME,
            css=CSS,
            allowed_paths=[examples],
            max_file_size="50mb",
        )
