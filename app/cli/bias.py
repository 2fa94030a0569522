"""``venire bias``: what is systematic in one judge, relative to people."""

from argparse import Namespace
from typing import Any

from app.cli.client import Service, part
from app.cli.errors import INCONCLUSIVE, OK
from app.cli.options import about, talks
from app.cli.output import Output, Table, interval, number, simulated_note
from app.cli.wiring import Commands, Wiring


def add(commands: Commands, wiring: Wiring) -> None:
    """One report."""
    parser = commands.add_parser("bias", help="a judge's biases, relative to people")
    parser.add_argument("judge", metavar="JUDGE", help="its name; venire judges list has them")
    about(parser, criterion=False)
    parser.add_argument("--groups", action="store_true", help="also per system and per stratum")
    talks(parser, _bias)


async def _bias(arguments: Namespace, service: Service, output: Output) -> int:
    path = f"/judges/{part(arguments.judge)}/bias"
    report = await service.get(path, rubric=arguments.rubric, criterion=arguments.criterion)
    output.document(report)
    output.say(*simulated_note(report["simulated"]))
    for criterion in report["criteria"]:
        _criterion(report, criterion, output, groups=arguments.groups)
    told = any(criterion["versions"] for criterion in report["criteria"])
    return OK if told else INCONCLUSIVE


def _criterion(report: dict[str, Any], criterion: dict[str, Any], output: Output, *, groups: bool) -> None:
    output.say("", f"{report['judge']} on {criterion['criterion']}")
    if criterion["status"] != "calibrated":
        waiting = (
            "a calibration is on its way" if criterion["status"] == "running" else "it is not calibrated"
        )
        output.say(f"  nothing can be told yet: {waiting}")
    elif not criterion["versions"]:
        output.say("  this judge has no verdicts in the newest calibration")
    for version in criterion["versions"]:
        output.say(f"  {version['model']} ({version['judge_version']}), {version['verdicts']:,} verdicts")
        output.table(effects_table("", version["effects"]))
        output.say(*(f"  {effect['sentence']}" for effect in version["effects"]))
        if version["checks"]:
            output.table(effects_table("with grades as ordered categories", version["checks"]))
            output.say(*(f"  {effect['sentence']}" for effect in version["checks"]))
        if groups:
            for title, effects in (("system", version["systems"]), *version["strata"].items()):
                if effects:
                    output.table(effects_table(f"adds to each {title}, at equal human grade", effects))
    for shared in (criterion["panel"], criterion["people_agreement"]):
        if shared is not None:
            output.say(f"  {shared['sentence']}")


def effects_table(title: str, effects: list[dict[str, Any]]) -> Table:
    """Effects with their intervals."""
    rows = [
        (
            effect["name"].replace("_", " "),
            number(effect["estimate"], 3),
            interval(effect["interval"], 3),
            f"{effect['n']:,}",
            effect["unit"] or "–",
            effect["status"].replace("_", " "),
            "yes" if effect["flagged"] else "",
        )
        for effect in effects
    ]
    heads = ("effect", "estimate", "interval", "n", "unit", "status", "stands out")
    return Table(title, heads, rows, frozenset({1, 2, 3}))
