"""`sigma-slu search`: clips for a text, or texts for a clip, in an index of `sigma-slu index`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


_EXAMPLES = """
examples:
  sigma-slu search clips-index "i go home" --top-k 5
  sigma-slu search texts-index --clip clip.npz --json
  sigma-slu search clips-index "i go home" --png found.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("index", type=Path, metavar="INDEX", help="folder of `sigma-slu index`")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what to look for")
    parser.add_argument("--clip", type=Path, metavar="FILE", help="a clip to look for, instead of a text")
    parser.add_argument("--model", metavar="DIR", help="the index's model, if it is not where it was")
    parser.add_argument("--top-k", type=int, default=10, metavar="K", help="results (default 10)")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, mps")
    parser.add_argument("--png", type=Path, metavar="OUT", help="draw the first four results")
    parser.add_argument("--json", action="store_true", help="print one JSON array")


def run(args: argparse.Namespace) -> int:
    """Prints results, best first."""
    from modeling_sigma.cli.index import load_retriever
    from modeling_sigma.inference.embedding_index import EmbeddingIndex, model_fingerprint
    from modeling_sigma.io import load_clip

    if (args.text is None) == (args.clip is None):
        raise ValueError("expected a TEXT or --clip FILE, one of them")
    index = EmbeddingIndex.load(args.index)
    query: Any = args.text if args.clip is None else load_clip(args.clip)
    pipe = load_retriever(args.model or index.model, args.device)
    if model_fingerprint(pipe.model) != index.fingerprint:
        raise ValueError(
            f"{args.index}: expected the model that made the index, received other weights "
            f"({args.model or index.model}): make the index again, or name its model with --model"
        )
    vector = pipe(query, inputs_are="texts" if args.clip is None else "clips")
    scores, rows = index.search(vector.float().cpu().numpy()[None], args.top_k)
    results = [
        {index.kind[:-1]: index.entries[row], "score": round(float(score), 4)}
        for score, row in zip(scores[0], rows[0])
    ]
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
    from modeling_sigma.viz.retrieval_examples import RetrievalExample, draw_retrieval_examples

    found = [(entry["text"] if "text" in entry else load_clip(entry["clip"]), entry["score"]) for entry in results[:4]]
    draw_retrieval_examples([RetrievalExample(query, found)]).save(out)
