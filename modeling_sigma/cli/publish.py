"""`sigma-slu publish`: a model folder goes to the Hub, in one commit, private unless you say otherwise."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from modeling_sigma.hub.publish import Publication

_EXAMPLES = """
examples:
  sigma-slu publish sigma-slu my-lab/sigma-slu --dry-run
  sigma-slu publish sigma-slu my-lab/sigma-slu --license apache-2.0
  sigma-slu publish sigma-slu my-lab/sigma-slu --exist-ok --revision v2 --public
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", metavar="DIR", help="model folder of save_bundle, or of a PEFT adapter")
    parser.add_argument("repo_id", metavar="ORG/NAME", help="where it goes")
    parser.add_argument("--public", action="store_true", help="for everybody to see (default: private)")
    parser.add_argument("--revision", metavar="BRANCH", help="branch, made where there is none (default main)")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request in an existing repository")
    parser.add_argument(
        "--license", "--licence", dest="licence", metavar="NAME", help="licence, where the card states none"
    )
    parser.add_argument("--exist-ok", action="store_true", help="add a commit to a repository that holds files")
    parser.add_argument("--message", metavar="TEXT", help="of the commit")
    parser.add_argument("--dry-run", action="store_true", help="check, print what would be sent, and send nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Checks, sends, reports."""
    from modeling_sigma.hub.publish import plan_publication, publish

    licence = args.licence or _ask_for_licence(args)
    plan = plan_publication(args.folder, args.repo_id, licence)
    if args.dry_run:
        report = describe(plan, args)
        print(json.dumps(report, indent=2) if args.json else _plan_text(report))
        return 0
    result = publish(
        args.folder,
        args.repo_id,
        licence=licence,
        is_public=args.public,
        revision=args.revision,
        create_pr=args.create_pr,
        exist_ok=args.exist_ok,
        message=args.message,
        wait=_tell_and_wait,
    )
    if args.json:
        print(json.dumps(dataclasses.asdict(result), indent=2))
        return 0
    who = "private: only you and your organisation can see it" if result.is_private else "public"
    print(f"Published {args.folder} at {result.pull_request or result.url} ({who}), commit {result.commit[:12]}.")
    for name in result.deleted:
        print(f"  replaced an earlier version: {name} removed")
    if not result.pull_request:
        print(f"Load it: {_how_to_load(plan, result.revision)}")
    return 0


def _how_to_load(plan: Publication, revision: str) -> str:
    from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS

    architecture = (plan.bundle.config.get("architectures") or ["SigmaModel"])[0]
    if "base_model_name_or_path" in plan.bundle.config:
        return f'modeling_sigma.training.adapters.lora.load_adapted("{plan.repo_id}")'
    at = "" if revision == "main" else f', revision="{revision}"'
    return f'{MODEL_KINDS[architecture].auto_class}.from_pretrained("{plan.repo_id}"{at}, trust_remote_code=True)'


def describe(plan: Publication, args: argparse.Namespace) -> dict[str, Any]:
    """What would be sent, in plain values."""
    return {
        "repo_id": plan.repo_id,
        "revision": "a pull request" if args.create_pr else args.revision or "main",
        "visibility": "public" if args.public else "private",
        "licence": plan.licence,
        "inherited_licence": plan.inherited_licence,
        "files": plan.sizes,
        "total_size": sum(plan.sizes.values()),
        "left_out": [path.as_posix() for path in plan.bundle.left_out],
    }


def _plan_text(report: dict[str, Any]) -> str:
    lines = [f"Would send to {report['repo_id']} ({report['visibility']}, {report['revision']}), in one commit:"]
    lines += [f"  {_size(size):>10}  {name}" for name, size in sorted(report["files"].items())]
    lines += [f"  {_size(report['total_size']):>10}  in {len(report['files'])} files"]
    inherited = f" (inherited: {report['inherited_licence']})" if report["inherited_licence"] else ""
    lines += [f"Licence: {report['licence']}{inherited}"]
    lines += [f"Left out: {', '.join(report['left_out'])}"] if report["left_out"] else []
    return "\n".join([*lines, "Nothing was sent."])


def _size(num_bytes: int) -> str:
    size = float(num_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _tell_and_wait(seconds: float) -> None:
    import time

    print(f"sigma-slu publish: the network failed, trying again in {seconds:.0f} s", file=sys.stderr)
    time.sleep(seconds)


def _ask_for_licence(args: argparse.Namespace) -> str | None:
    """Asks a person at a terminal where nothing states a licence; None everywhere else."""
    from pathlib import Path

    from huggingface_hub import metadata_load

    from modeling_sigma.hub.bundle_checks import check_bundle
    from modeling_sigma.hub.licences import LICENCES

    card = Path(args.folder) / "README.md"
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or not card.is_file():
        return None
    if check_bundle(args.folder).config.get("weights_licence") or (metadata_load(card) or {}).get("license"):
        return None
    print(f"The card states no licence. One of: {', '.join(LICENCES)}", file=sys.stderr)
    print("Licence of these weights: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() or None
