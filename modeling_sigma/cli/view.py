"""`sigma-slu view`: draws clips, what a model sees in them, training curves and confusions."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from modeling_sigma.cli.printed_warnings import printed_warnings
from modeling_sigma.cli.video_options import add_video_options, estimator_for
from modeling_sigma.jobs.atomic_files import atomic_file


_EXAMPLES = """
examples:
  sigma-slu view clip.pose --out clip.gif --caption "my name is Ada"
  sigma-slu view clip.npz --out frames.png --dark
  sigma-slu view clip.npz --model sigma-slu --out looks.png              where the model looks for each token
  sigma-slu view clip.npz --model pretrained --align "i go home" --out words.png    which frames fit which word
  sigma-slu view runs/trainer_state.json --out curves.png
  sigma-slu view predictions.txt --references labels.txt --out confusions.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `view`."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="video, clip, trainer_state.json, or with --references predicted labels",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="picture to write: .png, and for clips .gif or .mp4"
    )
    parser.add_argument("--caption", metavar="TEXT", help="text below the clip")
    parser.add_argument("--title", metavar="TEXT", help="text above the picture")
    parser.add_argument("--dark", action="store_true", help="draw on a dark background")
    parser.add_argument("--height", type=int, metavar="N", help="height of the figure in pixels")
    parser.add_argument(
        "--frames", type=int, default=8, metavar="N", help="number of frames in a .png of a clip (default 8)"
    )
    parser.add_argument("--fps", type=float, metavar="N", help="frames per second (default: the clip's own)")
    parser.add_argument("--person", type=int, default=0, metavar="N", help="index of the person to draw (default 0)")
    parser.add_argument("--model", metavar="DIR", help="draw this model's attention, or with --align its alignment")
    parser.add_argument("--align", metavar="TEXT", help="text whose words are aligned with the frames")
    parser.add_argument("--language", default="English", help="spoken language to write (default English)")
    parser.add_argument("--references", type=Path, metavar="FILE", help="true labels: draw a confusion matrix")
    parser.add_argument(
        "--labels",
        type=int,
        default=20,
        metavar="N",
        help="number of labels in the confusion matrix, the most confused first (default 20)",
    )
    add_video_options(parser, has_device=False)


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
    with printed_warnings("view"):
        _draw(args, is_still)
    print(f"Wrote {args.out}.")
    return 0


def _draw(args: argparse.Namespace, is_still: bool) -> None:
    # What saves the picture is made first: whatever cannot be drawn leaves an older picture as it was.
    save: Callable[[Path], object]
    if args.references is not None:
        save = _confusions(args).save
    elif is_still and args.model is None:
        from modeling_sigma.io.reading_errors import naming_file
        from modeling_sigma.viz.training_curves import draw_training_curves, read_curves

        curves = read_curves(args.file)
        with naming_file(args.file, "a training log"):
            save = draw_training_curves(curves, title=args.title, dark=args.dark).save
    else:
        save = _clip_picture(args)
    with atomic_file(args.out) as temporary:
        save(temporary)


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
    # Where there are several candidates, the best one.
    best = [value[0] if isinstance(value, list) else value for value in predictions]
    return draw_confusion_matrix(
        [str(label) for label in references],
        [str(label) for label in best],
        max_labels=args.labels,
        title=args.title,
        dark=args.dark,
    )


def _clip_picture(args: argparse.Namespace) -> Callable[[Path], object]:
    from modeling_sigma.io import load_clip

    clip = load_clip(args.file, person=args.person, estimator=estimator_for(args, [args.file]))
    style: dict[str, Any] = {"title": args.title, "dark": args.dark}
    if args.model is not None:
        return cast(Callable[[Path], object], _model_picture(args, clip, style).save)
    size = {} if args.height is None else {"height": args.height}
    if args.out.suffix.lower() == ".png":
        from modeling_sigma.viz.skeleton_strip import draw_skeleton_strip

        return draw_skeleton_strip(clip, num_frames=args.frames, captions=args.caption, **size, **style).save
    from modeling_sigma.viz.skeleton_animation import save_animation

    return partial(save_animation, clip=clip, fps=args.fps, captions=args.caption, **size, **style)


def _model_picture(args: argparse.Namespace, clip: Any, style: dict[str, Any]) -> Any:
    from modeling_sigma.cli.quiet_libraries import silence_transformers
    from modeling_sigma.inference.load_pipeline import load_pipeline
    from modeling_sigma.viz.alignment_map import draw_alignment_map
    from modeling_sigma.viz.attention_map import draw_attention_map
    from modeling_sigma.viz.model_maps import alignment_of, attention_of

    silence_transformers()
    # Only models that were trained for this: untrained weights would give a picture of noise.
    pipe = load_pipeline(args.model, "sign-text-retrieval" if args.align else "sign-language-translation", "cpu")
    if args.align:
        found = alignment_of(pipe.model, pipe.processor, clip, args.align, args.language)
        return draw_alignment_map(found.values, found.words, clip=clip, frames=found.frames, **style)
    found = attention_of(pipe.model, pipe.processor, clip, args.language)
    return draw_attention_map(found.values, found.words, clip, frames=found.frames, **style)
