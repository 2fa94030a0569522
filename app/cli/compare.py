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

_STALE = (
    "This decides nothing (exit code 3): the rubric has changed since its calibration. "
    "Calibrate again: venire calibrate"
)


def add(commands: Commands, wiring: Wiring) -> None:
    """One comparison."""
    parser = commands.add_parser(
        "compare",
        help="is one system better than another?",
        epilog="Exit codes: 0 better or equivalent, 2 worse, 3 inconclusive, or a stale calibration.",
    )
    about(parser, criterion=True)
    parser.add_argument("--baseline", required=True, metavar="SYSTEM", help="the system compared with")
    parser.add_argument("--candidate", required=True, metavar="SYSTEM", help="the system in question")
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
        help="for strata: holm to confirm (default), bh to explore many",
    )
    parser.add_argument("--level", type=between(0.5, 0.999), default=0.95, metavar="P", help="default: 0.95")
    talks(parser, _compare)


async def _compare(arguments: Namespace, service: Service, output: Output) -> int:
    found = await service.post(
        "/comparisons",
        {
            "rubric": arguments.rubric,
            "criterion": arguments.criterion,
            "baseline": arguments.baseline,
            "candidate": arguments.candidate,
            "margin": arguments.margin,
            "by": arguments.by or [],
            "level": arguments.level,
            "adjustment": arguments.adjustment,
        },
    )
    output.document(found)
    output.say(*simulated_note(found["simulated"]))
    words = f"{found['candidate']} is {_words(found)} {found['baseline']} on {found['criterion']}"
    if found["difference"] is not None:
        words += f": {number(found['difference'])} {interval(found['interval'])}"
    output.say(words)
    if found["rows"]:
        rows = [_row(row) for row in found["rows"]]
        heads = ("stratum", "difference", "interval", "adjusted p", "verdict")
        output.table(Table("", heads, rows, frozenset({1, 2, 3})))
    output.say(*(f"- {warning}" for warning in found["warnings"]))
    if found["status"] == "stale":
        output.say(_STALE)
        return INCONCLUSIVE
    return CODES[found["verdict"]]


def _words(found: dict[str, Any]) -> str:
    return {
        "better": "better than",
        "worse": "worse than",
        "equivalent": f"equivalent (within {found['margin']:g}) to",
        "inconclusive": "shown to be neither better, worse nor equivalent (inconclusive) against",
    }[found["verdict"]]


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    stratum = ", ".join(f"{name}={value or '–'}" for name, value in row["strata"].items())
    values = (number(row["difference"]), interval(row["interval"]), number(row["p_adjusted"], 3))
    return (stratum, *values, row["verdict"])
