"""Which curves of a training log belong into one panel: those of one kind, so that they share an axis."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


EVALUATION = "eval_"
# A panel's title, and the names that belong there, without the prefix of evaluation. The first that fits counts.
_KINDS = (
    ("Loss", r"(train_)?loss"),
    ("Terms of the loss", r".*loss.*"),
    ("Clip to text, rank of the right one", r"pose_to_text_.*rank"),
    ("Text to clip, rank of the right one", r"text_to_pose_.*rank"),
    ("Clip to text, found among so many (%)", r"pose_to_text_r\d+"),
    ("Text to clip, found among so many (%)", r"text_to_pose_r\d+"),
    ("Right answers (%)", r"top\d+.*|.*_accuracy_percent|surest_.*"),
    ("Word error rate (%)", r"wer.*"),
    ("Texts (BLEU, ROUGE-L, chrF)", r"bleu.*|rouge.*|chrf.*"),
    ("Shares, from 0 to 1", r".*accuracy|.*share|.*f1.*|.*iou.*"),
)
_OTHER = "Other numbers"
_COMMON = re.compile(r"^(pose_to_text|text_to_pose)_")


def panels_of(names: Iterable[str], most: int) -> list[tuple[str, list[str]]]:
    """Titles and names of panels, at most `most` names in each.

    Terms of the loss that are many get a panel for training and one for evaluation; what is still too much for one
    panel goes on in the next.
    """
    titles = [*(title for title, _ in _KINDS), _OTHER]
    by_kind: dict[str, list[str]] = {title: [] for title in titles}
    for name in names:
        plain = name.removeprefix(EVALUATION)
        title = next((title for title, pattern in _KINDS if re.fullmatch(pattern, plain)), _OTHER)
        by_kind[title].append(name)
    panels = []
    for title, members in by_kind.items():
        groups = [(title, members)]
        if len(members) > most:
            told = [name for name in members if name.startswith(EVALUATION)]
            groups = [(f"{title}, training", [name for name in members if name not in told])]
            groups.append((f"{title}, evaluation", told))
        for group_title, group in groups:
            for start in range(0, len(group), most):
                number = f" ({start // most + 1})" if len(group) > most else ""
                panels.append((group_title + number, group[start : start + most]))
    return [panel for panel in panels if panel[1]]


def short_names(names: Sequence[str], title: str) -> dict[str, str]:
    """Names of a panel -> what stands at the ends of their lines, without what the title has told."""
    is_told = title.endswith("evaluation") or all(name.startswith(EVALUATION) for name in names)
    short = {}
    for name in names:
        plain = name.removeprefix(EVALUATION)
        short[name] = _COMMON.sub("", plain) + ("" if is_told or plain == name else " (evaluation)")
    return short if len(set(short.values())) == len(short) else {name: name for name in names}
