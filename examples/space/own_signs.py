"""The part of the page where visitors teach signs of their own, find them by signing, and take them home."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr
from page_pieces import alert, notes
from reader import Reader

from modeling_sigma.serving.request_limits import MAX_TEXT


IN_VISIT = (
    "Sign, name it, and the page finds it when somebody signs it again. What you teach stays in this visit: it is "
    "gone when you close the page, or after an hour without use. It is kept as a vector of numbers, without pictures."
)
KEPT = (
    "Sign, name it, and the page finds it when somebody signs it again. **What you teach here is kept, and other "
    "visitors find it**, as a vector of numbers, without pictures. You can remove it."
)


class OwnSigns:
    """The controls, and what they do.

    Args:
        reader (`Reader`): Asks the workers.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        gr.HTML("<h2>Teach it a sign of your own</h2>")
        self.terms = gr.Markdown(IN_VISIT)
        with gr.Row(equal_height=True):
            self.label = gr.Textbox(
                label="What does the sign mean?", placeholder="house", max_length=MAX_TEXT, elem_id="label", scale=3
            )
            self.teach_button = gr.Button("Teach", elem_id="teach", scale=1, min_width=110)
        self.said = gr.HTML(elem_id="taught")
        with gr.Group(visible=False) as self.taught:
            with gr.Row(equal_height=True):
                self.chosen = gr.Dropdown([], label="Your signs", elem_id="own", scale=3)
                self.forget_button = gr.Button("Remove", elem_id="forget", scale=1, min_width=110)
            self.download = gr.DownloadButton("Download your signs", elem_id="download")
        with gr.Accordion("Load signs from before", open=False, elem_id="bring") as self.bringing:
            self.brought = gr.File(label="A dictionary (.zip) that you downloaded", file_types=[".zip"], height=110)

    def connect(self, file: Any, model: Any, visit: Any) -> None:
        """Ties the controls to what the page reads."""
        shown = [self.said, self.taught, self.chosen, self.download, visit]
        shared: dict[str, Any] = {"api_visibility": "private"}
        self.teach_button.click(self._teach, [file, model, self.label, visit], shown, **shared)
        self.label.submit(self._teach, [file, model, self.label, visit], shown, **shared)
        self.forget_button.click(self._forget, [model, self.chosen, visit], shown, **shared)
        self.brought.upload(self._bring, [self.brought, model, visit], shown, **shared)

    def shown_for(self, model: str, visit: str | None) -> list[Any]:
        """When a model is chosen: terms, message, signs, download, and whether signs can be brought."""
        is_kept = self.reader.signs_are_kept(model)
        message, *rest = self._asked(model, "signs", visit) if visit or is_kept else ["", *_listed([], None), visit]
        return [KEPT if is_kept else IN_VISIT, message, *rest[:-1], gr.Accordion(visible=not is_kept)]

    def _teach(self, file: str | None, model: str, label: str, visit: str | None) -> list[Any]:
        if not file:
            return [alert("There is no clip to teach yet: record yourself or choose a file first."), *_same(), visit]
        return self._asked(model, "teach", visit, file, label=label)

    def _forget(self, model: str, label: str | None, visit: str | None) -> list[Any]:
        if not label:
            return [alert("Choose the sign to remove."), *_same(), visit]
        return self._asked(model, "forget", visit, label=label)

    def _bring(self, archive: str | None, model: str, visit: str | None) -> list[Any]:
        if not archive or self.reader.signs_are_kept(model):
            return ["", *_same(), visit]
        return self._asked(model, "bring", visit, archive)

    def _asked(self, model: str, action: str, visit: str | None, file: str | None = None, **facts: Any) -> list[Any]:
        visit = self.reader.open_visit(visit)
        try:
            answer = self.reader.ask(model, action, visit, file, **facts)
        except ValueError as error:
            return [alert(str(error)), *_same(), visit]
        said = f'<div role="status">{escape(answer["said"])}</div>' if "said" in answer else ""
        said += notes("Good to know", answer.get("warnings", []))
        return [said, *_listed(answer["labels"], answer["archive"]), visit]


def _listed(labels: list[tuple[str, int]], archive: str | None) -> list[Any]:
    choices = [(label if count == 1 else f"{label} ({count} clips)", label) for label, count in labels]
    return [
        gr.Group(visible=bool(labels)),
        gr.Dropdown(choices, value=choices[-1][1] if choices else None),
        gr.DownloadButton(value=archive),
    ]


def _same() -> list[Any]:
    return [gr.skip()] * 3
