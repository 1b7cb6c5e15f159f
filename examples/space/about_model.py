"""What a model knows, from whom it learnt, what it sees and how often it is right, as HTML for visitors."""

from __future__ import annotations

from html import escape
from typing import Any

from model_profile import ALL_PARTS, ModelProfile


MAX_LISTED = 5000  # words that a visitor can unfold and search


def about(profile: ModelProfile) -> str:
    """The whole panel; of a model that cannot be used, why."""
    if profile.problem:
        return f'<div class="alert" role="alert">{escape(profile.problem)}</div>'
    rows = [("Knows", _knows(profile)), ("Learnt from", _learnt_from(profile)), ("Looks at", _looks_at(profile))]
    rows += [("Is right", _is_right(profile)), ("Does not know", _does_not_know(profile)), ("Terms", _terms(profile))]
    entries = "".join(f"<div><dt>{title}</dt><dd>{text}</dd></div>" for title, text in rows if text)
    return f'<h2>About this model: {escape(profile.name)}</h2><dl class="about">{entries}</dl>'


def _knows(profile: ModelProfile) -> str:
    languages = dict.fromkeys(str(data.get("sign_language", "")) for data in _training_data(profile))
    of_language = f" of {escape('; '.join(languages))}" if languages else ""
    if not profile.labels:
        return f"What it is signed in{of_language}. It writes freely." if languages and not profile.needs_texts else ""
    counted = f"{len(profile.labels):,} words{of_language}."
    if len(profile.labels) > MAX_LISTED:
        return counted
    words = escape(", ".join(sorted(profile.labels, key=str.casefold)))
    return f'{counted}<details class="words"><summary>Show all of them</summary><p>{words}</p></details>'


def _learnt_from(profile: ModelProfile) -> str:
    texts = [
        f"{escape(str(data.get('name', '')))}. Signers: {escape(str(data.get('signers', 'not stated')))}. "
        f"Consent of the people in it: {escape(str(data.get('consent', 'not stated')))}"
        for data in _training_data(profile)
    ]
    return "<br>".join(texts) or "Not stated: its folder has no card."


def _looks_at(profile: ModelProfile) -> str:
    unseen = [part for part in ALL_PARTS if part not in profile.parts]
    seen = " and ".join([", ".join(profile.parts[:-1]), profile.parts[-1]] if profile.parts[1:] else profile.parts)
    text = f"The skeleton of {'body, hands and face' if not unseen else seen}"
    return text + (f" alone: signs that differ in {' or '.join(unseen)} are the same to it." if unseen else ".")


def _is_right(profile: ModelProfile) -> str:
    sentences = []
    for result in profile.results:
        scores = result.get("scores", {})
        where = escape(f"{result.get('num_samples')} clips of {result.get('dataset')} that it had not seen")
        if "top1_per_instance" in scores:
            first = f"with its first guess in {scores['top1_per_instance']:.0f} of 100"
            five = scores.get("top5_per_instance")
            sentences.append(first + ("" if five is None else f", with one of five in {five:.0f}") + f" ({where}).")
        elif "wer" in scores:
            sentences.append(f"Word error rate {scores['wer']:.1f} % ({where}).")
        elif "bleu4" in scores:
            sentences.append(f"BLEU-4 {scores['bleu4']:.1f} ({where}).")
    if sentences:
        sentences[0] = sentences[0][0].upper() + sentences[0][1:]
        return " ".join(sentences) + " Expect less with your camera and with another signer."
    return "Not measured."


def _does_not_know(profile: ModelProfile) -> str:
    items = "".join(f"<li>{escape(str(one))}</li>" for one in profile.card.get("not_seen", []))
    return f"<ul>{items}</ul>" if items else ""


def _terms(profile: ModelProfile) -> str:
    license_name = profile.card.get("license")
    involved = str(profile.card.get("deaf_involvement", "")).split(". ")[0].rstrip(".")
    terms = f"License of the model: {escape(str(license_name))}. " if license_name else ""
    return terms + (f"Deaf people involved in making it: {escape(involved.lower())}." if involved else "")


def _training_data(profile: ModelProfile) -> list[dict[str, Any]]:
    found = profile.card.get("training_data", [])
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
