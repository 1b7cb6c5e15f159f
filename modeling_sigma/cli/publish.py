"""`sigma-slu publish`: publishes a model folder on the Hub, in one commit, private by default."""

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
    """Adds the arguments of `publish`."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", metavar="DIR", help="folder of a model, or of a PEFT adapter")
    parser.add_argument("repo_id", metavar="ORG/NAME", help="repository to publish to")
    parser.add_argument("--public", action="store_true", help="make the repository public (default: private)")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to commit to, created if needed (default main)")
    parser.add_argument(
        "--create-pr", action="store_true", help="open a pull request in an existing repository instead"
    )
    parser.add_argument("--license", metavar="NAME", help="license of the weights, if the card states none")
    parser.add_argument("--exist-ok", action="store_true", help="allow a repository that already holds files")
    parser.add_argument("--message", metavar="TEXT", help="commit message")
    parser.add_argument("--dry-run", action="store_true", help="check and print what would be sent, but send nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Checks the folder, publishes it, reports, and returns 0."""
    from modeling_sigma.hub.publish import plan_publication, publish

    license = args.license or _ask_for_license(args)
    plan = plan_publication(args.folder, args.repo_id, license)
    if args.dry_run:
        report = describe(plan, args)
        print(json.dumps(report, indent=2) if args.json else _plan_text(report))
        return 0
    result = publish(
        args.folder,
        args.repo_id,
        license=license,
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
    if result.left_out:
        print(f"Left out: {', '.join(result.left_out)}")
    if not result.pull_request:
        print(f"Load it: {_how_to_load(plan, result.revision)}")
    return 0


def _how_to_load(plan: Publication, revision: str) -> str:
    from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS

    if plan.bundle.is_adapter:
        return f'modeling_sigma.training.adapters.lora.load_adapted("{plan.repo_id}")'
    at = "" if revision == "main" else f', revision="{revision}"'
    auto_class = MODEL_KINDS[plan.bundle.config["architectures"][0]].auto_class
    return f'{auto_class}.from_pretrained("{plan.repo_id}"{at}, trust_remote_code=True)'


def describe(plan: Publication, args: argparse.Namespace) -> dict[str, Any]:
    """What would be sent, in plain values."""
    return {
        "repo_id": plan.repo_id,
        "revision": "a pull request" if args.create_pr else args.revision or "main",
        "visibility": "public" if args.public else "private",
        "license": plan.license,
        "inherited_license": plan.inherited_license,
        "files": plan.sizes,
        "total_size": sum(plan.sizes.values()),
        "left_out": plan.left_out,
    }


def _plan_text(report: dict[str, Any]) -> str:
    lines = [f"Would send to {report['repo_id']} ({report['visibility']}, {report['revision']}), in one commit:"]
    lines += [f"  {_size(size):>10}  {name}" for name, size in sorted(report["files"].items())]
    lines += [f"  {_size(report['total_size']):>10}  in {len(report['files'])} files"]
    inherited = f" (inherited: {report['inherited_license']})" if report["inherited_license"] else ""
    lines += [f"License: {report['license']}{inherited}"]
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


def _ask_for_license(args: argparse.Namespace) -> str | None:
    """Asks for a license if nothing states one and somebody is at the terminal; None otherwise."""
    from pathlib import Path

    from huggingface_hub import metadata_load

    from modeling_sigma.hub.bundle_checks import check_bundle
    from modeling_sigma.hub.licenses import LICENSES, inherited_license

    card = Path(args.folder) / "README.md"
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or not card.is_file():
        return None
    if inherited_license(check_bundle(args.folder).config) or (metadata_load(card) or {}).get("license"):
        return None
    print(f"The card states no license. One of: {', '.join(LICENSES)}", file=sys.stderr)
    print("License of these weights: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() or None
