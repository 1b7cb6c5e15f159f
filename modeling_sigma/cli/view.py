"""`sigma-slu view`: pictures of clips, of what a model sees in them, of trainings and of mistakes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


_EXAMPLES = """
examples:
  sigma-slu view clip.pose --out clip.gif --caption "my name is Ada"
  sigma-slu view clip.npz --out frames.png --dark
  sigma-slu view clip.npz --model sigma-slu --out looks.png              where the model looks while it writes
  sigma-slu view clip.npz --model pretrained --align "i go home" --out words.png    which frames fit which word
  sigma-slu view runs/trainer_state.json --out curves.png
  sigma-slu view predictions.txt --references labels.txt --out confusions.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="clip, trainer_state.json, or (with --references) predicted labels"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".gif or .mp4 (clips), or .png")
    parser.add_argument("--caption", metavar="TEXT", help="below the clip")
    parser.add_argument("--title", metavar="TEXT", help="above the picture")
    parser.add_argument("--dark", action="store_true", help="on a dark ground")
    parser.add_argument("--height", type=int, metavar="N", help="of the figure in pixels")
    parser.add_argument("--frames", type=int, default=8, metavar="N", help="of a .png of a clip (default 8)")
    parser.add_argument("--fps", type=float, metavar="N", help="frames a second, for slow or fast motion")
    parser.add_argument("--person", type=int, default=0, metavar="N", help="which person of the file (default 0)")
    parser.add_argument("--model", metavar="DIR", help="draw what this model sees: attention, or with --align")
    parser.add_argument("--align", metavar="TEXT", help="draw which frames fit which word of this text")
    parser.add_argument("--language", default="English", help="spoken language to write (default English)")
    parser.add_argument("--references", type=Path, metavar="FILE", help="true labels: draw what was taken for what")
    parser.add_argument("--labels", type=int, default=20, metavar="N", help="most confused labels (default 20)")


def run(args: argparse.Namespace) -> int:
    """Draws and saves one picture."""
    suffix = args.out.suffix.lower()
    is_still = args.references is not None or args.model is not None or args.file.suffix.lower() in (".json", ".jsonl")
    allowed = (".png",) if is_still else (".gif", ".mp4", ".png")
    if suffix not in allowed:
        raise ValueError(
            f"{args.out}: expected {' or '.join(allowed)} for this picture, received {suffix or 'nothing'}"
        )
    if args.align is not None and args.model is None:
        raise ValueError("--align needs --model DIR: a model that was pre-trained on pairs of clips and texts")
    if not args.file.exists():
        raise FileNotFoundError(f"{args.file}: no such file or folder")
    if args.references is not None:
        image = _confusions(args)
    elif is_still and args.model is None:
        from modeling_sigma.viz.training_curves import draw_training_curves, read_curves

        image = draw_training_curves(read_curves(args.file), title=args.title, dark=args.dark)
    else:
        image = _clip_picture(args)
    if image is not None:
        image.save(args.out)
    print(f"Wrote {args.out}.")
    return 0


def _confusions(args: argparse.Namespace) -> Any:
    from modeling_sigma.metrics.prediction_files import (
        PREDICTION_FIELDS,
        REFERENCE_FIELDS,
        pair_samples,
        read_sample_texts,
    )
    from modeling_sigma.viz.confusion_matrix import draw_confusion_matrix

    predictions, references = pair_samples(
        read_sample_texts(args.file, PREDICTION_FIELDS["islr"]),
        read_sample_texts(args.references, REFERENCE_FIELDS["islr"]),
    )
    # The best of several candidates.
    best = [value[0] if isinstance(value, list) else value for value in predictions]
    return draw_confusion_matrix(
        [str(label) for label in references],
        [str(label) for label in best],
        max_labels=args.labels,
        title=args.title,
        dark=args.dark,
    )


def _clip_picture(args: argparse.Namespace) -> Any:
    from modeling_sigma.io import load_clip

    clip = load_clip(args.file, person=args.person)
    style: dict[str, Any] = {"title": args.title, "dark": args.dark}
    if args.model is not None:
        return _model_picture(args, clip, style)
    size = {} if args.height is None else {"height": args.height}
    if args.out.suffix.lower() == ".png":
        from modeling_sigma.viz.skeleton_strip import draw_skeleton_strip

        return draw_skeleton_strip(clip, num_frames=args.frames, captions=args.caption, **size, **style)
    from modeling_sigma.viz.skeleton_animation import save_animation

    save_animation(args.out, clip, fps=args.fps, captions=args.caption, **size, **style)
    return None


def _model_picture(args: argparse.Namespace, clip: Any, style: dict[str, Any]) -> Any:
    from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoProcessor
    from transformers.utils import logging

    from modeling_sigma.inference.model_config import load_model_config, saved_class
    from modeling_sigma.viz.alignment_map import draw_alignment_map
    from modeling_sigma.viz.attention_map import draw_attention_map
    from modeling_sigma.viz.model_maps import alignment_of, attention_of

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    # Untrained parts would give a picture of noise.
    able = (
        ("SigmaForPreTraining", "SigmaModel")
        if args.align
        else ("SigmaForConditionalGeneration", "SigmaForPreTraining")
    )
    architecture = saved_class(load_model_config(args.model))
    if architecture not in able:
        purpose = "aligns words and frames" if args.align else "writes text"
        raise ValueError(f"{args.model}: expected a model that {purpose} ({', '.join(able)}), found {architecture}")
    processor = AutoProcessor.from_pretrained(args.model, trust_remote_code=False)
    auto = AutoModel if args.align else AutoModelForSeq2SeqLM
    model = auto.from_pretrained(args.model, trust_remote_code=False).eval()
    if args.align:
        found = alignment_of(model, processor, clip, args.align, args.language)
        return draw_alignment_map(found.values, found.words, clip=clip, frames=found.frames, **style)
    found = attention_of(model, processor, clip, args.language)
    return draw_attention_map(found.values, found.words, clip, frames=found.frames, **style)
