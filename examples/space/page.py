"""The page: one clear action, what the model knows, the answer, and signs of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from about_model import about
from limits import DELETE_AFTER, DELETE_EVERY, MAX_WAITING
from model_examples import example_files
from model_profile import ModelProfile
from own_signs import OwnSigns
from page_style import ASK_PAGE, empty_state
from reader import Reader
from tools import add_tools

from modeling_sigma.io.load_clip import VIDEO_SUFFIXES
from modeling_sigma.serving.request_limits import MAX_CHARACTERS


LANGUAGES = ("English", "German", "Chinese")
SKELETON_SUFFIXES = (".npz", ".pose", ".pkl")
COVERAGE = 0.9
MACHINE = (
    "A machine reads, and it often reads wrongly. It does not understand a sign language, and it does not replace an "
    "interpreter. What you send is processed on this server and deleted within two hours."
)
NO_EXAMPLES = (
    "There is no example for this model: clips of real people are not shipped with it, and an invented sign would "
    "mislead. Record yourself, or choose a clip of one person signing one of the words that it knows (below)."
)
VIDEO_ADVICE = "One person, both hands in view. Reading a second of video takes some five seconds."


def build_page(
    profiles: Mapping[str, ModelProfile], examples: Path, no_videos: str, kept_signs: Path | None
) -> gr.Blocks:
    """Puts the page together.

    Args:
        profiles (`Mapping[str, ModelProfile]`): The models by name.
        examples (`Path`): An empty folder for copies of their example clips.
        no_videos (`str`): Why videos cannot be read; empty if they can.
        kept_signs (`Path`, *optional*): The folder of a dictionary that visitors of the first model share.
    """
    reader = Reader(profiles, no_videos, kept_signs)
    first = next(iter(profiles.values()))
    title = f"{first.question} Sigma reads skeletons of signing"
    with gr.Blocks(title=title, delete_cache=(DELETE_EVERY, DELETE_AFTER), fill_width=True) as page:
        head = gr.HTML(_head(first, no_videos), elem_id="head")
        visit = gr.State(None, time_to_live=DELETE_AFTER, delete_callback=reader.close_visit)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                model = gr.Dropdown(list(profiles), value=first.name, label="Model", visible=len(profiles) > 1)
                file = _inputs(no_videos)
                with gr.Column(visible=_takes(first)) as options:
                    language = gr.Dropdown(
                        list(LANGUAGES), value=LANGUAGES[0], label="Language to write", visible=first.takes_language
                    )
                    texts = gr.Textbox(
                        label=_texts_label(first),
                        elem_id="texts",
                        max_length=MAX_CHARACTERS,
                        lines=2,
                        visible=first.takes_texts,
                    )
                    listed = gr.Checkbox(
                        label=f"Also list every word that it could be (right for {COVERAGE:.0%} of clips)",
                        elem_id="listed",
                        visible=COVERAGE in first.coverages,
                    )
                button = gr.Button(first.action, variant="primary", elem_id="read")
                shelves = [_shelf(one, file, examples, one is first) for one in profiles.values()]
            with gr.Column(scale=3, min_width=300):
                message = gr.HTML(elem_id="message")
                with gr.Row():
                    skeleton = gr.HTML(elem_id="skeleton", visible=False)
                    with gr.Column(scale=2, min_width=290):
                        result = gr.HTML(empty_state(first.task, bool(first.coverages)), elem_id="result")
                        signs = gr.HTML(elem_id="signs")
                picture = gr.HTML(elem_id="map")
                own = OwnSigns(reader)
        facts = gr.HTML(about(first), elem_id="about")
        dark = gr.Checkbox(visible=False)

        def read(
            file: str | None, model: str, language: str, texts: str, listed: bool, visit: str | None, dark: bool
        ) -> list[Any]:
            profile, visit = profiles[model], reader.open_visit(visit)
            coverage = COVERAGE if listed and COVERAGE in profile.coverages else None
            # What is written into a control that the model does not have stays out of its answer.
            found = reader.read(file, model, language, texts if profile.takes_texts else "", coverage, visit, dark)
            moving = gr.HTML(found["skeleton"], visible=bool(found["skeleton"]))
            return [found["message"], moving, found["result"], found["signs"], found["picture"], visit]

        def choose(model: str, visit: str | None) -> list[Any]:
            profile = profiles[model]
            return [
                _head(profile, no_videos),
                gr.Column(visible=_takes(profile)),
                gr.Dropdown(visible=profile.takes_language),
                gr.Textbox(label=_texts_label(profile), visible=profile.takes_texts),
                gr.Checkbox(visible=COVERAGE in profile.coverages),
                gr.Button(profile.action),
                *(gr.Column(visible=one is profile) for one in profiles.values()),
                "", gr.HTML("", visible=False), empty_state(profile.task, bool(profile.coverages)), "", "",
                about(profile),
                *own.shown_for(model, visit),
            ]  # fmt: skip

        answers = [message, skeleton, result, signs, picture]
        shown = [head, options, language, texts, listed, button, *shelves, *answers, facts]
        shown += [own.terms, own.said, own.taught, own.chosen, own.download, own.bringing]
        model.change(choose, [model, visit], shown, api_visibility="private")
        if kept_signs is not None:  # there may be signs before anybody teaches one
            page.load(lambda: own.shown_for(first.name, None), None, shown[-6:], api_visibility="private")
        button.click(
            read,
            [file, model, language, texts, listed, visit, dark],
            [*answers, visit],
            js=ASK_PAGE,
            concurrency_limit=MAX_WAITING,  # threads that wait for a worker
            api_name="read",
            api_visibility="undocumented",  # programs use the tools
        )
        own.connect(file, model, visit)
        add_tools(reader)
    return page


def _inputs(no_videos: str) -> gr.File:
    """Camera and file; the file is what is read."""
    kinds = [*SKELETON_SUFFIXES, *(() if no_videos else VIDEO_SUFFIXES)]
    with gr.Tabs(selected="file" if no_videos else "camera"):
        with gr.Tab("Camera", id="camera", interactive=not no_videos):
            camera = gr.Video(
                sources=["webcam"],
                show_label=False,
                include_audio=False,
                webcam_options=gr.WebcamOptions(mirror=True),
                height=260,
                elem_id="camera",
            )
            # The recording is read as it is: turning it round or muting it would need ffmpeg.
            camera.preprocess = lambda recorded: None if recorded is None else recorded.path  # type: ignore[method-assign]
        with gr.Tab("File", id="file"):
            what = "Skeleton file" if no_videos else "Video or skeleton file"
            file = gr.File(label=f"{what} ({', '.join(kinds[:5])})", type="filepath", elem_id="file", height=175)
    if no_videos:
        gr.HTML(f'<p class="why" id="no-videos">{no_videos}</p>')
    else:
        gr.HTML(f'<p class="why">{VIDEO_ADVICE}</p>')
    camera.change(lambda path: path, camera, file, api_visibility="private")
    return file


def _shelf(profile: ModelProfile, file: gr.File, examples: Path, is_shown: bool) -> gr.Column:
    """The examples of a model, or why there are none."""
    with gr.Column(visible=is_shown) as shelf:
        found = [] if profile.problem else example_files(profile.name, profile.path, examples)
        if found:
            gr.Examples(found, file, label="Examples for this model", api_visibility="private")
        elif not profile.problem:
            gr.HTML(f'<p class="why">{NO_EXAMPLES}</p>')
    return shelf


def _head(profile: ModelProfile, no_videos: str) -> str:
    how = "Choose a skeleton file" if no_videos else f"{profile.task} to your camera, or choose a file"
    languages = dict.fromkeys(str(one.get("sign_language", "")) for one in profile.card.get("training_data", []))
    of_language = f" of {'; '.join(languages)}" if languages else ""
    guess = f"a small research model guesses among {len(profile.labels):,} words{of_language}"
    if not profile.labels:
        guess = f"a small research model{' that has learnt from signing' + of_language if languages else ''} answers"
    alone = "" if len(profile.parts) > 1 else " alone"
    return (
        f"<h1>{profile.question}</h1><p>{how}: {guess}, from the skeleton of the {_joined(profile.parts)}{alone}.</p>"
        f'<p class="machine">{MACHINE}</p>'
    )


def _joined(words: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _takes(profile: ModelProfile) -> bool:
    return profile.takes_language or profile.takes_texts or COVERAGE in profile.coverages


def _texts_label(profile: ModelProfile) -> str:
    return "Texts to compare with, one per line" + ("" if profile.needs_texts else " (optional)")
