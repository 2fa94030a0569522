"""``venire quality``: systems and strata by human standards."""

from argparse import Namespace
from typing import Any

from app.cli.client import Service
from app.cli.errors import OK
from app.cli.options import about, between, talks
from app.cli.output import Output, Table, interval, number, simulated_note
from app.cli.wiring import Commands, Wiring


def add(commands: Commands, wiring: Wiring) -> None:
    """One table."""
    parser = commands.add_parser("quality", help="corrected quality of systems and strata")
    about(parser, criterion=True)
    parser.add_argument(
        "--by",
        action="append",
        metavar="WHAT",
        help="system, stratum.NAME, period.day, period.week or period.month; repeatable (default: system)",
    )
    parser.add_argument("--level", type=between(0.5, 0.999), metavar="P", help="coverage (default: 0.95)")
    parser.add_argument(
        "--population", choices=("stream", "these_units"), help="what the means are of (default: stream)"
    )
    talks(parser, _quality)


async def _quality(arguments: Namespace, service: Service, output: Output) -> int:
    table = await service.get(
        "/quality",
        rubric=arguments.rubric,
        criterion=arguments.criterion,
        by=arguments.by,
        level=arguments.level,
        population=arguments.population,
    )
    output.document(table)
    output.say(*simulated_note(table["simulated"]))
    strata = list(dict.fromkeys(name for row in table["rows"] for name in row["strata"]))
    with_system = any(row["system"] is not None for row in table["rows"])
    heads = (*(("system",) if with_system else ()), *strata)
    numbers = ("items", "anchors", "raw", "corrected", f"{100 * table['level']:g}% interval", "n_eff")
    silent = any(row["unscored"] and row["unscored"]["missing"] for row in table["rows"])
    numbers = (*numbers, *(("missing", "corrected at worst") if silent else ()))
    rows = [_row(row, strata, with_system, silent) for row in table["rows"]]
    places = frozenset(range(len(heads), len(heads) + len(numbers)))
    output.table(Table("", (*heads, *numbers, "status"), rows, places))
    if table["panel"]:
        said_of_panel = table["panel"]["sentence"]
        output.say(f"{said_of_panel[:1].upper()}{said_of_panel[1:]}.")
    said = dict.fromkeys([*table["warnings"], *(w for row in table["rows"] for w in row["warnings"])])
    output.say(*(f"- {warning}" for warning in said))
    if table["calibration_id"] is None:
        output.say("Nothing is calibrated yet: the raw means are relative to the judges.")
    return OK


def _row(row: dict[str, Any], strata: list[str], with_system: bool, silent: bool) -> tuple[str, ...]:
    return (
        *((row["system"] or "–",) if with_system else ()),
        *(row["strata"].get(name) or "–" for name in strata),
        f"{row['n_items']:,}",
        f"{row['n_anchors']:,}",
        number(row["raw_mean"]),
        number(row["corrected"]),
        interval(row["interval"]),
        number(row["effective_sample_size"], 0),
        *(_missing(row["unscored"]) if silent else ()),
        row["status"],
    )


def _missing(found: dict[str, Any] | None) -> tuple[str, str]:
    """The rate, and the interval of the corrected value whatever the missing verdicts would have said."""
    if found is None:
        return "–", "–"
    corrected = (found["bounds"] or {}).get("corrected") or {}
    return f"{100 * found['rate']:.1f}%", interval(corrected.get("worst_case_interval"))
