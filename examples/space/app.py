"""A web demo of Sigma: drop a skeleton file (or a video), see it move, read what the model makes of it.

    SIGMA_MODELS="Demo=./sigma-slu" python examples/space/app.py

Works offline. Videos are offered where a pose estimator is installed.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import nullcontext
from html import escape
from importlib.util import find_spec
from pathlib import Path

import gradio as gr
from limits import MAX_FILE_SIZE, MAX_WAITING, NUM_WORKERS, VIDEO_SECONDS, WORK_SECONDS

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.io import save_clip
from modeling_sigma.io.load_clip import VIDEO_SUFFIXES
from modeling_sigma.serving.bounded_workers import BoundedWorkers
from modeling_sigma.serving.request_limits import MAX_CHARACTERS, check_texts
from modeling_sigma.serving.upload_folder import open_upload_folder


LANGUAGES = ("English", "German", "Chinese")
DELETE_EVERY, DELETE_AFTER = 600, 3600  # seconds: of uploads
NOTICE = (
    "A machine reads, and it often reads wrongly. It does not understand a sign language, and it does not replace an "
    "interpreter. What you upload is processed on this server and deleted within two hours."
)
# System fonts: nothing is fetched from elsewhere. Small print that can be read: contrast of 7 to 1 and more.
THEME = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"], text_size="lg").set(
    block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300"
)
CSS = """
.alert {border-left: 6px solid #b03a2e; padding: 0.6em 1em; font-size: 1.1em}
#skeleton img, #map img {max-width: 100%}
#result .sentence {font-size: 1.5em; margin: 0}
#result table {width: 100%; border-collapse: collapse; border: none}
#result caption, #map figcaption {text-align: left; margin-bottom: 0.4em}
#map figure {margin: 0}
#result tr, #result th, #result td {border: none; text-align: left; font-weight: normal}
#result th, #result td {padding: 0.25em 0.5em 0.25em 0}
#result th, #result td:last-child {width: 1%; white-space: nowrap}
#result .track div {height: 0.8em; background: #0072b2; border-radius: 2px}
.dark #result .track div {background: #56b4e9}
"""
# The page knows whether it is dark; pictures are drawn to fit.
ASK_PAGE = "(...values) => [...values.slice(0, -1), document.body.classList.contains('dark')]"


def model_names() -> dict[str, str]:
    """Name -> folder or Hub name, from the variable SIGMA_MODELS."""
    pairs = [entry.partition("=") for entry in os.environ.get("SIGMA_MODELS", "Demo=sigma-slu").split(",")]
    return {name.strip(): (path or name).strip() for name, _, path in pairs}


def example_files(folder: Path) -> list[str]:
    """Freshly made clips of the invented sign language: nobody's signing."""
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
    """Has files read, and turns the answers into what the page shows."""

    def __init__(self, models: dict[str, str]) -> None:
        self.models = models
        command = [sys.executable, str(Path(__file__).with_name("worker.py")), next(iter(models.values()))]
        self.workers = BoundedWorkers(command, NUM_WORKERS)
        # One worker stays free of videos, which take minutes.
        self.videos = threading.Semaphore(max(1, NUM_WORKERS - 1))

    def read(self, file: str | None, model: str, language: str, texts: str, dark: bool) -> tuple[str, str, str, str]:
        """Message, result, moving skeleton and picture of a file, all as HTML."""
        try:
            if not file:
                raise ValueError("No file yet: drop a skeleton file or choose an example, then press Read.")
            lines = [line.strip() for line in texts.splitlines() if line.strip()]
            check_texts(lines)
            request = {"file": file, "model": self.models[model], "language": language, "texts": lines, "dark": dark}
            is_video = Path(file).suffix.lower() in VIDEO_SUFFIXES
            with self.videos if is_video else nullcontext():
                answer = self.workers.ask(request, VIDEO_SECONDS if is_video else WORK_SECONDS)
        except ValueError as error:
            said = str(error).replace(self.models[model], model)  # no paths of the server
            said = said.replace(str(file), Path(file).name) if file else said
            return f'<div class="alert" role="alert">{escape(said)}</div>', "", "", ""
        return '<div role="status">Done.</div>', answer["result"], answer["skeleton"], answer["picture"]


def build_app(models: dict[str, str], folder: Path) -> gr.Blocks:
    """The page."""
    reader = Reader(models)
    has_estimator = find_spec("mediapipe") is not None
    kinds = [".npz", ".pose", ".pkl", *(VIDEO_SUFFIXES if has_estimator else ())]
    what = "Skeleton file or video" if has_estimator else "Skeleton file (.npz, .pose, .pkl)"
    with gr.Blocks(title="Sigma reads skeletons", delete_cache=(DELETE_EVERY, DELETE_AFTER), fill_width=True) as page:
        gr.Markdown(f"# Sigma reads skeletons\n\n{NOTICE}")
        with gr.Row():
            with gr.Column(scale=2, min_width=340):
                file = gr.File(label=what, type="filepath", elem_id="file", height=170)
                if has_estimator:
                    with gr.Accordion("Or record yourself", open=False):
                        video = gr.Video(sources=["webcam"], show_label=False)
                    video.change(lambda path: path, video, file)
                gr.Examples(example_files(folder), file, label="Examples: an invented sign language")
                model = gr.Dropdown(list(models), value=next(iter(models)), label="Model")
                language = gr.Dropdown(list(LANGUAGES), value=LANGUAGES[0], label="Language to write")
                texts = gr.Textbox(
                    label="Texts to choose among, one per line (optional)",
                    info="A generative model picks the likeliest of them; a pre-trained model ranks them.",
                    elem_id="texts",
                    max_length=MAX_CHARACTERS,
                    lines=2,
                )
                button = gr.Button("Read", variant="primary", elem_id="read")
                gr.Markdown(f"Files: {', '.join(kinds)}")
            with gr.Column(scale=5):
                message = gr.HTML(elem_id="message")
                with gr.Row():
                    with gr.Column(scale=1, min_width=290):
                        skeleton = gr.HTML(elem_id="skeleton")
                    with gr.Column(scale=2, min_width=400):
                        result = gr.HTML(elem_id="result")
                        picture = gr.HTML(elem_id="map")
        dark = gr.Checkbox(visible=False)
        button.click(
            reader.read,
            [file, model, language, texts, dark],
            [message, result, skeleton, picture],
            js=ASK_PAGE,
            concurrency_limit=MAX_WAITING,  # threads that wait for a worker
        )
    return page


if __name__ == "__main__":
    folder = open_upload_folder("sigma-space")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    examples = folder / "examples"
    examples.mkdir()
    app = build_app(model_names(), examples)
    app.queue(max_size=MAX_WAITING).launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
        theme=THEME,
        css=CSS,
        allowed_paths=[str(examples)],
        max_file_size=MAX_FILE_SIZE,
    )
