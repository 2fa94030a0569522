"""``venire contributions``: what each verdict was worth in a grade's calibrated scores."""

from argparse import Namespace
from typing import Any

from app.cli.client import Service, part
from app.cli.errors import INCONCLUSIVE, OK
from app.cli.options import talks
from app.cli.output import Output, Table, number
from app.cli.wiring import Commands, Wiring


def add(commands: Commands, wiring: Wiring) -> None:
    """One grade."""
    parser = commands.add_parser(
        "contributions",
        help="what each verdict was worth in a grade's calibrated scores",
        epilog="Exit codes: 0 told, 3 the grade has no calibrated score.",
    )
    parser.add_argument("grade", metavar="GRADE", help="its id (g_...), as POST /grade and results have it")
    talks(parser, _contributions)


async def _contributions(arguments: Namespace, service: Service, output: Output) -> int:
    found = await service.get(f"/grades/{part(arguments.grade)}/contributions")
    output.document(found)
    for score in found["scores"]:
        _score(score, output)
    if not found["scores"]:
        output.note(
            f"{found['grade_id']} has no calibrated score: no calibration was there when it was graded"
        )
    return OK if found["scores"] else INCONCLUSIVE


def _score(score: dict[str, Any], output: Output) -> None:
    rows = [
        (
            f"{one['position']}",
            one["judge"],
            number(one["value"]),
            number(one["weight"]),
            _signed(one["points"]),
        )
        for one in score["parts"]
    ]
    title = f"{score['criterion']}, answer {score['answer']}, by {score['calibration_id']}"
    heads = ("seat", "judge", "gave", "weight", "points")
    output.table(Table(title, heads, rows, frozenset({0, 2, 3, 4})))
    start, total, kept = (number(score[name]) for name in ("start", "total", "kept"))
    end = "" if total == kept else f", kept within the scale: {kept}"
    output.say(f"  {start} had every judge given its own average, with these points {total}{end}", "")


def _signed(points: float | None) -> str:
    return number(points) if points is None else f"{points:+.2f}"
