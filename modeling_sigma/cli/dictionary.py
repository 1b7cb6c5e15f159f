"""`sigma-slu dictionary`: makes a dictionary of signs, teaches it from clips, and searches it by signing."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from modeling_sigma.cli.labelled_clips import LabelledClip, add_clip_arguments, labelled_clips, read_clip
from modeling_sigma.cli.printed_warnings import printed_warnings


_EXAMPLES = """
examples:
  sigma-slu dictionary create my-signs --model checkpoints/sigma-wlasl-hands
  sigma-slu dictionary add my-signs house_1.npz house_2.npz --label house --sign-language "Bangla Sign Language"
  sigma-slu dictionary add my-signs --data bdsl_words --data-dir DIR
  sigma-slu dictionary search my-signs clip.npz --top-k 3
  sigma-slu dictionary evaluate my-signs --data bdsl_words --data-dir DIR
  sigma-slu dictionary remove my-signs --sample-id house/2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `dictionary`: an action, and those of each action."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)

    def action(name: str, text: str, run: Any) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser
        added = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        added.add_argument("dictionary", type=Path, metavar="DICTIONARY", help="folder of the dictionary")
        added.set_defaults(run_action=run)
        return added

    create = action("create", "make an empty dictionary for the vectors of a model", _create)
    create.add_argument(
        "--model", required=True, metavar="DIR", help="folder of a trained model, or its name on the Hub"
    )
    add = action("add", "teach signs from clips", _add)
    add_clip_arguments(add, split="train")
    remove = action("remove", "remove a label or a clip, with nothing of it left in the folder", _remove)
    remove.add_argument("--label", metavar="LABEL", help="label to remove, with all of its clips")
    remove.add_argument("--sample-id", metavar="ID", help="clip to remove, as `add` and `search` name it")
    remove.add_argument("--sign-language", metavar="NAME", help="sign language to remove the label from (default all)")
    search = action("search", "find the signs most like a clip", _search)
    search.add_argument("files", nargs="+", type=Path, metavar="FILE", help="clips to search for, or folders of them")
    search.add_argument("--top-k", type=int, default=5, metavar="K", help="number of signs per clip (default 5)")
    search.add_argument("--sign-language", metavar="NAME", help="sign language to search in (default all)")
    evaluate = action("evaluate", "score searches with other clips of known labels", _evaluate)
    add_clip_arguments(evaluate, split="test")
    for added in (search, evaluate):
        added.add_argument(
            "--false-alarm-rate",
            type=float,
            default=0.1,
            metavar="SHARE",
            help="share of signs that are not in the dictionary and yet may be taken for one that is (default 0.1)",
        )
        added.add_argument("--json", action="store_true", help="print the results as JSON")
    for added in (add, search, evaluate):
        added.add_argument("--model", metavar="DIR", help="model that made the dictionary, if it has moved since")
    for added in (create, add, search, evaluate):
        added.add_argument("--device", default="cpu", help="device to compute on: cpu (default), cuda, cuda:1, mps")


def run(args: argparse.Namespace) -> int:
    """Does what the action says; returns 1 if some clips could not be read, else 0."""
    from modeling_sigma.cli.quiet_libraries import silence_transformers

    silence_transformers()
    with printed_warnings("dictionary"):
        return int(args.run_action(args))


def _create(args: argparse.Namespace) -> int:
    from modeling_sigma.inference.sign_dictionary import DICTIONARY, SignDictionary

    if (args.dictionary / DICTIONARY).exists():
        raise ValueError(f"{args.dictionary}: expected a new folder, found a dictionary: add to it, or name another")
    SignDictionary.create(args.model, args.device).save(args.dictionary)
    print(f"Wrote {args.dictionary}: an empty dictionary for the vectors of {args.model}.")
    return 0


def _add(args: argparse.Namespace) -> int:
    from modeling_sigma.inference.sign_dictionary import SignDictionary

    num_failed = 0
    with SignDictionary.editing(args.dictionary, args.model, device=args.device) as dictionary:
        dictionary.load_model()  # before the clips are read
        for clip in labelled_clips(args):
            facts = {} if clip.signer_id is None else {"signer_id": clip.signer_id}
            try:
                (entry,) = dictionary.add(
                    clip.label,
                    read_clip(clip),
                    sample_ids=None if clip.sample_id is None else [clip.sample_id],
                    sign_language=clip.sign_language,
                    **facts,
                )
            except (ValueError, OSError, ImportError) as error:
                num_failed += _tell(args, clip, error)
                continue
            print(f"{entry.sample_id}\t{entry.label}" + (f"\tvariant {entry.variant}" if entry.variant > 1 else ""))
    print(f"{args.dictionary} has {len(dictionary.labels)} labels, {len(dictionary)} clips.")
    return 1 if num_failed else 0


def _remove(args: argparse.Namespace) -> int:
    from modeling_sigma.inference.sign_dictionary import SignDictionary

    with SignDictionary.editing(args.dictionary) as dictionary:
        number = dictionary.remove(args.label, sample_id=args.sample_id, sign_language=args.sign_language)
    print(f"Removed {number} clips; {args.dictionary} has {len(dictionary.labels)} labels, {len(dictionary)} clips.")
    return 0


def _search(args: argparse.Namespace) -> int:
    from modeling_sigma.inference.sign_dictionary import SignDictionary
    from modeling_sigma.io.clip_paths import clip_paths

    dictionary = SignDictionary.from_pretrained(args.dictionary, args.model, device=args.device)
    dictionary.load_model()  # before the clips are read
    paths = [path for file in args.files for path in clip_paths(file)]
    results: list[dict[str, Any]] = []
    num_failed = 0
    for path in paths:
        clip = LabelledClip(path, "")
        try:
            found = dictionary.search(
                read_clip(clip),
                args.top_k,
                false_alarm_rate=args.false_alarm_rate,
                sign_language=args.sign_language,
            )
        except (ValueError, OSError, ImportError) as error:
            num_failed += _tell(args, clip, error)
            continue
        results.append({"file": str(path), "signs": found})
        if not args.json:
            _print_signs(found, f"{path}\t" if len(paths) > 1 else "")
    if args.json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
    return 1 if num_failed else 0


def _evaluate(args: argparse.Namespace) -> int:
    from modeling_sigma.inference.sign_dictionary import SignDictionary

    dictionary = SignDictionary.from_pretrained(args.dictionary, args.model, device=args.device)
    dictionary.load_model()  # before the clips are read
    vectors, labels, num_failed = [], [], 0
    for clip in labelled_clips(args):
        try:
            vectors.append(dictionary.embed(read_clip(clip)))
            labels.append(clip.label)
        except (ValueError, OSError, ImportError) as error:
            num_failed += _tell(args, clip, error)
    scores = dictionary.evaluate_vectors(
        vectors, labels, false_alarm_rate=args.false_alarm_rate, sign_language=args.sign_language
    )
    if args.json:
        print(json.dumps(scores, indent=2))
    else:
        for name, value in scores.items():
            print(f"{name}\t{value:.1f}" if isinstance(value, float) else f"{name}\t{'-' if value is None else value}")
    return 1 if num_failed else 0


def _print_signs(found: list[dict[str, Any]], prefix: str) -> None:
    if found and found[0]["unknown"]:
        print(f"{prefix}unknown: no sign of the dictionary is similar enough; the nearest are")
    for sign in found:
        variant = f"\tvariant {sign['variant']} of {sign['num_variants']}" if sign["num_variants"] > 1 else ""
        print(f"{prefix}{sign['similarity']:.3f}\t{sign['label']}{variant}")


def _tell(args: argparse.Namespace, clip: LabelledClip, error: Exception) -> int:
    """Prints why a clip is left out, and returns 1: with --debug, raises instead."""
    from modeling_sigma.io.reading_errors import one_line

    if args.debug:
        raise error
    name = str(clip.sample_id or clip.clip)
    text = one_line(error)
    print(f"sigma-slu dictionary: error: {text if name in text else f'{name}: {text}'}", file=sys.stderr)
    return 1
