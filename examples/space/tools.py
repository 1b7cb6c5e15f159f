"""What programs can ask of this page: functions of its API, which are also its tools as an MCP server."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
from reader import Reader


MAX_WORDS = 200


def add_tools(reader: Reader) -> None:
    """Adds the functions to the page that is being built; nothing of them is seen on it."""
    names = list(reader.profiles)

    def recognize_sign(clip: str, model: str = "", texts: str = "", prediction_set: float = 0) -> str:
        """Read the signing in a clip: a file with the skeleton of one signing person, or a video where these are read.

        A machine's guess, often wrong: it replaces no interpreter. Say how sure it is, and offer a way to a person.

        Args:
            clip (str): The file: .npz, .pose or .pkl, or a video.
            model (str): The name of the model, as list_models gives it; the first if left empty.
            texts (str): One text per line to choose among, for models that write or compare.
            prediction_set (float): 0.9 lists as many labels as hold the true one in 90 % of clips; 0 lists none.
        """
        name = _known(model)
        try:
            return _json(reader.recognize(clip, name, texts, prediction_set or None))
        except ValueError as error:
            raise gr.Error(str(error)) from error

    def list_models() -> str:
        """List the models of this page: what each answers, what it knows, from whom it learnt and what it looks at."""
        models = [
            {
                "name": one.name, "question": one.question, "num_labels": len(one.labels), "looks_at": one.parts,
                "training_data": one.card.get("training_data", []), "not_seen": one.card.get("not_seen", []),
                "summary": one.card.get("summary"), "license": one.card.get("license"), "problem": one.problem,
            }
            for one in reader.profiles.values()
        ]  # fmt: skip
        return _json(models)

    def known_words(contains: str, model: str = "") -> str:
        """Look up words that a model can answer, at most 200 of them.

        Args:
            contains (str): Letters that the words contain; empty for the first ones of the alphabet.
            model (str): The name of the model; the first if left empty.
        """
        labels = sorted(reader.profiles[_known(model)].labels, key=str.casefold)
        return _json([label for label in labels if contains.casefold() in label.casefold()][:MAX_WORDS])

    def _known(model: str) -> str:
        if model and model not in reader.profiles:
            raise gr.Error(f"expected one of {', '.join(names)}, received {model!r}")
        return model or names[0]

    # Hidden controls, since a file reaches a function through a component alone.
    with gr.Column(visible=False):
        clip = gr.File(type="filepath", label="clip")
        model, texts, contains = (gr.Textbox(label=name) for name in ("model", "texts", "contains"))
        share = gr.Number(0, label="prediction_set")
        found = gr.Textbox(label="found")
        button = gr.Button()
    button.click(recognize_sign, [clip, model, texts, share], found, api_name="recognize_sign")
    button.click(list_models, None, found, api_name="list_models")
    button.click(known_words, [contains, model], found, api_name="known_words")


def _json(answer: Any) -> str:
    """An answer as text: gradio's MCP server would print lists and dicts as Python does."""
    return json.dumps(answer, ensure_ascii=False)
