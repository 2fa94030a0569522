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
    parser.add_argument(
        "--details",
        action="store_true",
        help="also whether its scores mean what they say, what it adds to the panel, and examples",
    )
    talks(parser, _bias)


async def _bias(arguments: Namespace, service: Service, output: Output) -> int:
    path = f"/judges/{part(arguments.judge)}/bias"
    report = await service.get(path, rubric=arguments.rubric, criterion=arguments.criterion)
    names = [one["criterion"] for one in report["criteria"]] if arguments.details else []
    details = {name: await _details(arguments, service, name) for name in names}
    output.document(report | {"details": details} if arguments.details else report)
    output.say(*simulated_note(report["simulated"]))
    for criterion in report["criteria"]:
        _criterion(report, criterion, output, groups=arguments.groups)
        if found := details.get(criterion["criterion"]):
            _say_details(found, output)
    told = any(criterion["versions"] for criterion in report["criteria"])
    return OK if told else INCONCLUSIVE


_KINDS = ("reliability", "residuals", "contribution", "examples")


async def _details(arguments: Namespace, service: Service, criterion: str) -> dict[str, Any]:
    path = f"/judges/{part(arguments.judge)}"
    asked = {"rubric": arguments.rubric, "criterion": criterion}
    return {kind: (await service.get(f"{path}/{kind}", **asked))["versions"] for kind in _KINDS}


def _say_details(found: dict[str, Any], output: Output) -> None:
    for k, scores in enumerate(found["reliability"]):
        output.say("", f"  {scores['model']} ({scores['judge_version']})")
        for title, told in (("calibrated", scores["calibrated"]), ("as given", scores["as_given"])):
            rows = [
                (
                    f"{number(one['low'])} to {number(one['high'])}",
                    number(one["people"]),
                    interval(one["interval"]),
                    f"{one['n']:,}",
                )
                for one in told["bins"]
            ]
            heads = (f"score, {title}", "people", "interval", "n")
            output.table(Table("", heads, rows, frozenset({0, 1, 2, 3})))
            output.say(f"  {told['slope']['sentence']}", f"  {told['gap']['sentence']}")
        residuals = found["residuals"][k]["residuals"]
        for by in dict.fromkeys(one["by"] for one in residuals):
            mine = [one["effect"] for one in residuals if one["by"] == by]
            output.table(effects_table(f"people less calibrated score, by {by}", mine))
        output.say(f"  {found['contribution'][k]['effect']['sentence']}")
        for one in found["examples"][k]["examples"]:
            output.say(
                f"  {one['effect'].replace('_', ' ')}: {one['item']}, {one['system']}: {one['sentence']}"
            )


def _criterion(report: dict[str, Any], criterion: dict[str, Any], output: Output, *, groups: bool) -> None:
    output.say("", f"{report['judge']} on {criterion['criterion']}")
    if criterion["status"] in ("running", "not_calibrated"):
        waiting = (
            "a calibration is on its way" if criterion["status"] == "running" else "it is not calibrated"
        )
        output.say(f"  nothing can be told yet: {waiting}")
    elif criterion["status"] == "refused":
        output.say("  the calibration was refused, so only what needs no calibrated scores is told:")
        output.say(*(f"  - {why}" for why in criterion["refusals"]))
    if criterion["calibration_id"] and not criterion["versions"]:
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
    for shared in (criterion["panel_worth"], criterion["panel"], criterion["people_agreement"]):
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
