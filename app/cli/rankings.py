"""``venire rankings``: many systems of a pairwise rubric by what people prefer."""

from argparse import Namespace
from typing import Any

from app.cli.client import Service
from app.cli.errors import FINDING, OK
from app.cli.options import about, between, talks
from app.cli.output import Output, Table, interval, number, simulated_note
from app.cli.wiring import Commands, Wiring


def add(commands: Commands, wiring: Wiring) -> None:
    """One ranking."""
    parser = commands.add_parser(
        "rankings",
        help="many systems ranked by what people prefer",
        epilog="Exit codes: 0 ranked, 2 refused (the reasons are printed).",
    )
    about(parser, criterion=True)
    parser.add_argument("--level", type=between(0.5, 0.999), metavar="P", help="coverage (default: 0.95)")
    parser.add_argument("--pairs", action="store_true", help="also every two systems' win rate")
    parser.add_argument("--judges", action="store_true", help="also how the judges rank them, without people")
    talks(parser, _rankings)


async def _rankings(arguments: Namespace, service: Service, output: Output) -> int:
    found = await service.get(
        "/rankings",
        rubric=arguments.rubric,
        criterion=arguments.criterion,
        level=arguments.level,
        judges=True if arguments.judges else None,
    )
    output.document(found)
    output.say(*simulated_note(found["simulated"]))
    level = f"{100 * found['level']:g}%"
    heads = (
        "rank", f"{level} ranks", "system", "strength", f"{level} interval", "win rate", f"{level} interval",
        "raw", "pairs", "anchors", "status",
    )  # fmt: skip
    output.table(Table("", heads, [_row(row) for row in found["rows"]], frozenset({0, 3, 4, 5, 6, 7, 8, 9})))
    if arguments.pairs:
        columns = ("system", "against", "win rate", f"{level} interval", "raw", "people", "pairs", "anchors")
        output.table(Table("", columns, [_pair(one) for one in found["pairs"]], frozenset(range(2, 8))))
    if found["by_judges"]:
        _say_judges(found["by_judges"], level, output)
    said = dict.fromkeys([*found["warnings"], *(w for row in found["rows"] for w in row["warnings"])])
    output.say(*(f"- {warning}" for warning in said))
    output.say(*(f"No ranking: {why}" for why in found["refusals"]))
    return FINDING if found["refusals"] else OK


def _say_judges(found: dict[str, Any], level: str, output: Output) -> None:
    heads = ("rank", f"{level} ranks", "by judges", "strength", f"{level} interval", "win rate",
             f"{level} interval")  # fmt: skip
    rows = [
        (
            str(row["rank"]),
            f"{row['rank_interval'][0]} to {row['rank_interval'][1]}",
            row["system"],
            number(row["strength"]),
            interval(row["strength_interval"]),
            number(row["win_rate"], 3),
            interval(row["win_rate_interval"]),
        )
        for row in found["rows"]
    ]
    if rows:
        output.table(Table("", heads, rows, frozenset({0, 3, 4, 5, 6})))
        tastes = [
            (one["judge"], f"{one['n_verdicts']:,}", number(one["position"]), f"{100 * one['tie_rate']:.0f}%")
            for one in found["judges"]
        ]
        output.table(
            Table("", ("judge", "verdicts", "first place adds", "ties"), tastes, frozenset({1, 2, 3}))
        )
    output.say(*(f"- {warning}" for warning in found["warnings"]))
    output.say(*(f"No ranking by judges: {why}" for why in found["refusals"]))


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    ranks = row["rank_interval"]
    return (
        "–" if row["rank"] is None else str(row["rank"]),
        "–" if ranks is None else f"{ranks[0]} to {ranks[1]}",
        row["system"],
        number(row["strength"]),
        interval(row["strength_interval"]),
        number(row["win_rate"], 3),
        interval(row["win_rate_interval"]),
        number(row["raw_win_rate"], 3),
        f"{row['n_pairs']:,}",
        f"{row['n_anchors']:,}",
        row["status"],
    )


def _pair(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        one["system"],
        one["other"],
        number(one["win_rate"], 3),
        interval(one["interval"]),
        number(one["raw_win_rate"], 3),
        number(one["human_win_rate"], 3),
        f"{one['n_pairs']:,}",
        f"{one['n_anchors']:,}",
    )
