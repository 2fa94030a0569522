"""``venire compare``: is one system better than another; made for pipelines, which read its exit code."""

from argparse import Namespace
from typing import Any

from app.cli.client import Service
from app.cli.errors import FINDING, INCONCLUSIVE, OK
from app.cli.options import about, between, talks
from app.cli.output import Output, Table, interval, number, simulated_note
from app.cli.wiring import Commands, Wiring

CODES = {"better": OK, "equivalent": OK, "worse": FINDING, "inconclusive": INCONCLUSIVE}
"""The verdict of a comparison as an exit code."""

_HEADS = ("difference", "interval", "adjusted p", "verdict")

_STALE = (
    "This decides nothing (exit code 3): the rubric has changed since its calibration. "
    "Calibrate again: venire calibrate"
)


def add(commands: Commands, wiring: Wiring) -> None:
    """One comparison, or a table of several candidates and criteria."""
    parser = commands.add_parser(
        "compare",
        help="is one system better than another?",
        epilog="Exit codes: 0 better or equivalent, 2 worse, 3 inconclusive, or a stale calibration. Of "
        "several candidates or criteria: 2 if any row is worse, else 3 if any is inconclusive.",
    )
    about(parser)
    parser.add_argument(
        "--criterion", action="append", metavar="NAME", help="one of its criteria; repeatable (default: all)"
    )
    parser.add_argument("--baseline", required=True, metavar="SYSTEM", help="the system compared with")
    parser.add_argument(
        "--candidate",
        action="append",
        metavar="SYSTEM",
        help="the system in question; repeatable (default: all others)",
    )
    parser.add_argument(
        "--margin",
        type=between(0, 1e9),
        default=0.0,
        metavar="D",
        help="largest difference that does not matter",
    )
    parser.add_argument("--by", action="append", metavar="stratum.NAME", help="also per stratum; repeatable")
    parser.add_argument(
        "--adjustment",
        choices=("holm", "bh"),
        default="holm",
        help="for many rows: holm to confirm (default), bh to explore",
    )
    parser.add_argument("--level", type=between(0.5, 0.999), default=0.95, metavar="P", help="default: 0.95")
    talks(parser, _compare)


async def _compare(arguments: Namespace, service: Service, output: Output) -> int:
    criteria, candidates = arguments.criterion or [], arguments.candidate or []
    asked = {
        "rubric": arguments.rubric,
        "baseline": arguments.baseline,
        "margin": arguments.margin,
        "by": arguments.by or [],
        "level": arguments.level,
        "adjustment": arguments.adjustment,
    }
    if len(criteria) == len(candidates) == 1:
        one = {**asked, "criterion": criteria[0], "candidate": candidates[0]}
        return _one(await service.post("/comparisons", one), output)
    many = {**asked, "criteria": criteria, "candidates": candidates}
    return _table(await service.post("/comparisons/table", many), output)


def _one(found: dict[str, Any], output: Output) -> int:
    output.document(found)
    output.say(*simulated_note(found["simulated"]))
    words = f"{found['candidate']} is {_words(found)} {found['baseline']} on {found['criterion']}"
    if found["difference"] is not None:
        words += f": {number(found['difference'])} {interval(found['interval'])}"
    output.say(words)
    if found["rows"]:
        rows = [(_stratum(row), *_numbers(row)) for row in found["rows"]]
        output.table(Table("", ("stratum", *_HEADS), rows, frozenset({1, 2, 3})))
    output.say(*(f"- {warning}" for warning in found["warnings"]))
    if found["status"] == "stale":
        output.say(_STALE)
        return INCONCLUSIVE
    return CODES[found["verdict"]]


def _table(found: dict[str, Any], output: Output) -> int:
    rows, bases = found["rows"], found["criteria"]
    output.document(found)
    output.say(*simulated_note(any(one["simulated"] for one in bases)))
    strata = any(row["strata"] for row in rows)
    heads = ("criterion", "candidate", *(("stratum",) if strata else ()), *_HEADS, "anchors")
    cells = [
        (
            row["criterion"],
            row["candidate"],
            *((_stratum(row),) if strata else ()),
            *_numbers(row),
            f"{row['baseline_anchors']} / {row['candidate_anchors']}",
        )
        for row in rows
    ]
    first = 3 if strata else 2
    output.say(f"against {found['baseline']}; adjusted over {found['compared']} rows")
    output.table(Table("", heads, cells, frozenset({first, first + 1, first + 2, first + 4})))
    about_all = (f"{one['criterion']}: {warning}" for one in bases for warning in one["warnings"])
    about_rows = (f"{row['criterion']}: {warning}" for row in rows for warning in row["warnings"])
    output.say(*(f"- {warning}" for warning in dict.fromkeys((*about_all, *about_rows))))
    if any(row["status"] == "stale" for row in rows):
        output.say(_STALE)
        return INCONCLUSIVE
    verdicts = {row["verdict"] for row in rows}
    return next((CODES[one] for one in ("worse", "inconclusive") if one in verdicts), OK)


def _words(found: dict[str, Any]) -> str:
    return {
        "better": "better than",
        "worse": "worse than",
        "equivalent": f"equivalent (within {found['margin']:g}) to",
        "inconclusive": "shown to be neither better, worse nor equivalent (inconclusive) against",
    }[found["verdict"]]


def _stratum(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value or '–'}" for name, value in row["strata"].items())


def _numbers(row: dict[str, Any]) -> tuple[str, ...]:
    values = (number(row["difference"]), interval(row["interval"]), number(row["p_adjusted"], 3))
    return (*values, row["verdict"])
