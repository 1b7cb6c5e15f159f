"""The scores of `sigma-slu evaluate` as an aligned table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def format_report(report: Mapping[str, Any]) -> str:
    """Scores, intervals, counts, confusions and comparison, whichever the report has."""
    return "\n".join(_report_lines(report))


def _report_lines(report: Mapping[str, Any]) -> Iterator[str]:
    scores = {name: value for name, value in report.items() if isinstance(value, float)}
    counts = {name: value for name, value in report.items() if isinstance(value, int)}
    intervals = report.get("intervals", {})
    width = max(map(len, [*scores, *counts]))
    if scores:
        yield f"{'score':<{width}}  {'value':>8}" + ("   95 % interval" if intervals else "")
        for name, value in scores.items():
            yield f"{name:<{width}}  {value:>8.2f}" + (f"   {_format_interval(intervals[name])}" if intervals else "")
        yield ""
    for name, count in counts.items():
        yield f"{name:<{width}}  {count:>8}"
    if report.get("confusions"):
        yield ""
        yield from _confusion_lines(report["confusions"])
    for name, part in report.items():
        if name.startswith("confidence"):
            yield ""
            yield from _part_lines(name.replace("_", " "), part, width)
    if "calibration" in report:
        yield ""
        yield from _calibration_lines(report["calibration"])
    for name, part in report.get("by_label_groups", {}).items():
        yield ""
        yield from _part_lines(name.replace("_", " "), part, width)
    if "comparison" in report:
        yield ""
        yield from _comparison_lines(report["comparison"], width)
    yield ""
    for name, value in report.get("data", {}).items():
        if value is not None:
            yield f"{name:<9}  {value}"
    yield f"signature  {report['signature']}"


def _part_lines(title: str, part: Mapping[str, Any], width: int) -> Iterator[str]:
    intervals = part.get("intervals", {})
    yield f"{title} ({part['num_samples']} samples)"
    for name, value in part.items():
        if isinstance(value, float):
            ends = f"   {_format_interval(intervals[name])}" if name in intervals else ""
            yield f"{name:<{width}}  {value:>8.2f}{ends}"
    yield f"signature  {part['signature']}"


def _calibration_lines(calibration: Mapping[str, Any]) -> Iterator[str]:
    yield f"calibration (fitted on {calibration['num_clips']} clips of {calibration['fitted_on']})"
    yield f"temperature {calibration['temperature']:.3f}"
    yield (
        f"unknown: logsumexp below {calibration['known_threshold']:.3f} or movement below "
        f"{calibration['movement_threshold']:.4f}, {100 * calibration['false_alarm_rate']:.1f} % of these clips"
    )
    pairs = zip(calibration["set_coverages"], calibration["set_thresholds"], strict=True)
    yield "sets: " + ", ".join(f"{100 * coverage:g} % from {threshold:.2g}" for coverage, threshold in pairs)


def _confusion_lines(confusions: list[dict[str, Any]]) -> Iterator[str]:
    width = max(len("reference"), *(len(str(confusion["reference"])) for confusion in confusions))
    yield f"{'count':>5}  {'reference':<{width}}  predicted instead"
    for confusion in confusions:
        yield f"{confusion['count']:>5}  {confusion['reference']!s:<{width}}  {confusion['prediction'] or '(empty)'}"


def _comparison_lines(comparison: Mapping[str, Any], width: int) -> Iterator[str]:
    yield f"paired bootstrap against {comparison['other_predictions']}, {comparison['num_resamples']} resamples"
    yield f"{'score':<{width}}  {'value':>8}  {'other':>8}  {'change':>8}   {'95 % interval':<18}  {'p':>6}"
    for name, row in comparison["scores"].items():
        values = f"{row['score']:>8.2f}  {row['other_score']:>8.2f}  {row['difference']:>+8.2f}"
        yield f"{name:<{width}}  {values}   {_format_interval(row['interval']):<18}  {row['p_value']:>6.3f}"


def _format_interval(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]"
