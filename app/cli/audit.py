"""``venire audit``: can the anchors be trusted, and do judges hear the matter or its form?"""

import asyncio
import json
from argparse import Namespace
from typing import Any

from app.cli.client import Service, part
from app.cli.errors import FAILED, FINDING, INCONCLUSIVE, OK, CannotRun
from app.cli.options import existing_file, talks
from app.cli.output import Output, Progress, Table, interval, number
from app.cli.wiring import Commands, Wiring

_POLL_S = 0.2
_PAIRS, _ROWS = 10, 20


def add(commands: Commands, wiring: Wiring) -> None:
    """Run, list, show, decide."""
    group = commands.add_parser("audit", help="check the anchors and the judges: four audits")
    actions = group.add_subparsers(metavar="ACTION", required=True)
    for kind, meaning in _KINDS.items():
        running = actions.add_parser(kind, help=meaning)
        if kind == "invariance":
            running.add_argument("--rubric", required=True, metavar="NAME", help="the rubric")
        running.add_argument(
            "--set", required=kind != "invariance", metavar="NAME", dest="anchor_set", help="the anchor set"
        )
        running.add_argument("--criterion", metavar="NAME", help="only this criterion")
        if kind == "invariance":
            running.add_argument(
                "--recorded", action="store_true", help="measure prompt variants on record; ask nobody"
            )
        if kind == "disagreement":
            running.add_argument(
                "--regrade",
                metavar="QUEUE",
                help="the queue of a cold regrade (venire audit regrade)",
            )
        if kind == "overlap":
            running.add_argument("--corpus", type=existing_file, metavar="FILE", help="texts to look through")
        running.add_argument("--parameters", metavar="JSON", help="as '{\"near\": 0.6}' (docs/audits.md)")
        running.set_defaults(kind=kind)
        talks(running, _run)
    drawing = actions.add_parser("regrade", help="draw anchors for somebody to grade once more, cold")
    drawing.add_argument("--set", required=True, metavar="NAME", dest="anchor_set", help="the anchor set")
    drawing.add_argument("--items", type=int, metavar="N", help="how many; 50 unless --power is given")
    drawing.add_argument(
        "--power", type=float, metavar="P", help="as many as tell --alternative from 15%% with this chance"
    )
    drawing.add_argument("--alternative", type=float, metavar="SHARE", help="0.25 unless given")
    drawing.add_argument("--stratum", metavar="NAME", help="draw by this stratum, beside systems")
    drawing.add_argument("--graders", type=int, default=1, metavar="N", help="people per anchor")
    drawing.add_argument("--seed", type=int, metavar="N", help="repeats an earlier draw")
    drawing.add_argument("--plan", action="store_true", help="only say what would be drawn and what it tells")
    talks(drawing, _regrade)
    listing = actions.add_parser("list", help="newest first")
    listing.add_argument("--set", metavar="NAME", dest="anchor_set", help="only of this set")
    talks(listing, _list)
    showing = actions.add_parser("show", help="what one found")
    showing.add_argument("id", metavar="ID", help="as au_0c5m8qk2t7x1v")
    talks(showing, _show)
    aside = actions.add_parser("quarantine", help="anchors that were put aside")
    aside.add_argument("--set", metavar="NAME", dest="anchor_set", help="only of this set")
    talks(aside, _quarantine)
    deciding = actions.add_parser("decide", help="keep or retire an anchor that was put aside")
    deciding.add_argument("id", metavar="ID", help="as q_0c5m8qk2t7x1v")
    deciding.add_argument("decision", choices=("keep", "retire"))
    deciding.add_argument("--note", metavar="TEXT", help="why")
    talks(deciding, _decide)


_KINDS = {
    "provenance": "did a person, known and blind, give every grade?",
    "overlap": "do anchors stand in training data or prompts?",
    "disagreement": "how often do people who grade the same answer really differ?",
    "invariance": "do judges say the same when only the form changes?",
}


async def _run(arguments: Namespace, service: Service, output: Output) -> int:
    parameters = _parameters(arguments)
    fields = {
        "kind": arguments.kind,
        "anchor_set": arguments.anchor_set,
        "rubric": getattr(arguments, "rubric", None),
        "criterion": arguments.criterion,
        "parameters": json.dumps(parameters),
    }
    corpus = getattr(arguments, "corpus", None)
    begun = await (
        service.form("/audits", fields) if corpus is None else service.upload("/audits", corpus, fields)
    )
    return _shown(await _ended(service, begun), output)


def _parameters(arguments: Namespace) -> dict[str, Any]:
    try:
        given = json.loads(arguments.parameters or "{}")
    except ValueError as error:
        raise CannotRun(f"--parameters is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise CannotRun("--parameters must be a JSON object")
    if getattr(arguments, "recorded", False):
        given["recorded"] = True
    if getattr(arguments, "regrade", None) is not None:
        given["regrade"] = arguments.regrade
    return given


async def _ended(service: Service, audit: dict[str, Any]) -> dict[str, Any]:
    progress = Progress()
    while audit["status"] == "running":
        progress.show(f"{audit['kind']} audit of {audit['anchor_set'] or audit['rubric']}")
        await asyncio.sleep(_POLL_S)
        audit = await service.get(f"/audits/{part(audit['audit_id'])}")
    return audit


async def _show(arguments: Namespace, service: Service, output: Output) -> int:
    return _shown(await service.get(f"/audits/{part(arguments.id)}"), output)


def _shown(audit: dict[str, Any], output: Output) -> int:
    output.document(audit)
    output.say(f"{audit['audit_id']}  {audit['kind']}: {audit['verdict'] or audit['status']}")
    output.say(*(f"  {line}" for line in (audit["summary"], audit["error"]) if line))
    rows = [
        (
            one["name"].replace("_", " "),
            number(one["estimate"], 3),
            interval(one["interval"], 3),
            f"{one['n']:,}",
            one["of"],
            one["unit"],
        )
        for one in audit["estimates"]
    ]
    if rows:
        columns = ("what", "estimate", "interval", "n", "of", "unit")
        output.table(Table("", columns, rows, frozenset({1, 2, 3})))
    for table in audit["tables"]:
        if table["rows"]:
            output.say("")
            cells = [tuple(_cell(value) for value in row) for row in table["rows"][:_ROWS]]
            output.table(Table(table["title"], tuple(table["columns"]), cells))
    for pair in audit["pairs"][:_PAIRS]:
        likeness = f"{pair['measure']} {pair['similarity']:.2f}"
        output.say("", f"{pair['item']}, {pair['field']} ~ {pair['document']} ({likeness})")
        output.say(f"  anchor: {pair['anchor_text'][:200]}", f"  corpus: {pair['other_text'][:200]}")
    output.note(*audit["warnings"])
    if audit["status"] == "failed":
        return FAILED
    if audit["verdict"] == "failed":
        return FINDING
    return OK if audit["verdict"] == "passed" else INCONCLUSIVE


async def _regrade(arguments: Namespace, service: Service, output: Output) -> int:
    path = f"/anchor-sets/{part(arguments.anchor_set)}"
    asked = {name: getattr(arguments, name) for name in ("items", "power", "alternative", "stratum")}
    given = {name: value for name, value in asked.items() if value is not None}
    if arguments.plan:
        plan = await service.get(f"{path}/regrade-plan", **given)
        output.document(plan)
    else:
        body = {**given, "graders": arguments.graders, "seed": arguments.seed}
        made = await service.post(f"{path}/regrades", body)
        output.document(made)
        plan = made["plan"]
    rows = [(one["stratum"] or "all", one["system"] or "all", str(one["size"]), str(one["drawn"]))
            for one in plan["cells"]]  # fmt: skip
    output.table(Table("", ("stratum", "system", "anchors", "drawn"), rows, frozenset({2, 3})))
    power = plan["power"]
    least = "no share" if power["least_told"] is None else f"{power['least_told']:.0%} or more"
    needed = ", ".join(f"{one['power']:.0%}: {one['items']:,}" for one in power["needed"])
    output.say(
        f"{plan['items']:,} of {plan['population']:,} anchors tell a true share of"
        f" {power['alternative']:.0%} from {power['line']:.0%} with a chance of {power['of_this']:.0%},"
        f" and {least} with 80%.",
        f"Anchors it takes, by that chance: {needed}",
    )
    output.note(*plan["warnings"])
    if not arguments.plan:
        queue, graders = made["regrade"]["queue"], " or ".join(plan["people"][:10])
        output.say(
            f"Drawn into the queue {queue!r}: somebody not {graders} grades there (/ui/annotate). Then",
            f"  venire audit disagreement --set '{arguments.anchor_set}' --regrade '{queue}'",
        )
    return OK


async def _list(arguments: Namespace, service: Service, output: Output) -> int:
    audits = await service.all("/audits", anchor_set=arguments.anchor_set)
    output.document(audits)
    rows = [
        (
            one["audit_id"],
            one["kind"],
            one["anchor_set"] or "–",
            one["verdict"] or one["status"],
            one["created_at"],
        )
        for one in audits
    ]
    if rows:
        output.table(Table("", ("audit", "kind", "anchor set", "says", "asked for"), rows))
    else:
        output.say("There is no audit yet; begin with: venire audit provenance --set NAME")
    return OK


async def _quarantine(arguments: Namespace, service: Service, output: Output) -> int:
    entries = await service.all("/quarantine", anchor_set=arguments.anchor_set)
    output.document(entries)
    rows = [
        (one["quarantine_id"], one["anchor_set"], one["item"], one["decision"] or "waits", one["reason"])
        for one in entries
    ]
    if rows:
        output.table(Table("", ("id", "anchor set", "item", "decision", "why"), rows))
    else:
        output.say("Nothing is put aside.")
    return OK


async def _decide(arguments: Namespace, service: Service, output: Output) -> int:
    body = {"decision": arguments.decision, "note": arguments.note}
    entry = await service.post(f"/quarantine/{part(arguments.id)}", body)
    output.document(entry)
    output.say(f"{entry['item']} of {entry['anchor_set']}: {entry['decision']}")
    return OK


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)[:80]
