"""`sigma-slu search`: searches an index that `sigma-slu index` wrote for clips or texts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from modeling_sigma.cli.video_options import add_video_options, estimator_for


_EXAMPLES = """
examples:
  sigma-slu search clips-index "i go home" --top-k 5
  sigma-slu search texts-index --clip clip.npz --json
  sigma-slu search clips-index "i go home" --png found.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `search`."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("index", type=Path, metavar="INDEX", help="folder that `sigma-slu index` wrote")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="text to search for")
    parser.add_argument("--clip", type=Path, metavar="FILE", help="clip to search for instead of a text")
    parser.add_argument("--model", metavar="DIR", help="model that made the index, if it has moved since")
    parser.add_argument("--top-k", type=int, default=10, metavar="K", help="number of results (default 10)")
    parser.add_argument("--device", default="cpu", help="device to compute on: cpu (default), cuda, cuda:1, mps")
    parser.add_argument("--png", type=Path, metavar="OUT", help="picture to draw the first four results into")
    parser.add_argument("--json", action="store_true", help="print one JSON array")
    add_video_options(parser, has_device=True)


def run(args: argparse.Namespace) -> int:
    """Prints the results, best first, and returns 0."""
    from modeling_sigma.cli.quiet_libraries import silence_transformers
    from modeling_sigma.inference.embedding_index import EmbeddingIndex
    from modeling_sigma.inference.load_pipeline import load_pipeline
    from modeling_sigma.io import load_clip

    if (args.text is None) == (args.clip is None):
        raise ValueError("expected either a TEXT or --clip FILE")
    silence_transformers()
    index = EmbeddingIndex.load(args.index)
    query: Any = args.text
    if args.clip is not None:
        query = load_clip(args.clip, estimator=estimator_for(args, [args.clip]))
    pipe = load_pipeline(args.model or index.model, "sign-text-retrieval", args.device)
    results = index.search_with(pipe, query, "texts" if args.clip is None else "clips", args.top_k)
    if args.png is not None:
        _draw(args.png, query, results)
    if args.json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
        return 0
    for result in results:
        print(f"{result['score']:.3f}\t{result[index.kind[:-1]]}")
    return 0


def _draw(out: Path, query: Any, results: list[dict[str, Any]]) -> None:
    from modeling_sigma.io import load_clip
    from modeling_sigma.jobs.atomic_files import atomic_file
    from modeling_sigma.viz.retrieval_examples import RetrievalExample, draw_retrieval_examples

    found = [(entry["text"] if "text" in entry else load_clip(entry["clip"]), entry["score"]) for entry in results[:4]]
    picture = draw_retrieval_examples([RetrievalExample(query, found)])
    with atomic_file(out) as temporary:
        picture.save(temporary)
