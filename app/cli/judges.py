"""``venire judges``: list those of the service, find models that could judge, try what they can do."""

import asyncio
from argparse import Namespace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.client import Service
from app.cli.errors import FAILED, FINDING, OK, CannotRun
from app.cli.options import between, existing_file, prints_json, talks
from app.cli.output import Output, Progress, Table, money, number
from app.cli.wiring import Commands, Wiring

if TYPE_CHECKING:
    from app.judges.config import JudgeConfig
    from app.judges.discover import ProbeResult, Proposal

_PATIENCE = 8  # times its latency in the probe, when nothing else was asked of it


def add(commands: Commands, wiring: Wiring) -> None:
    """``discover`` and ``probe`` talk to model servers, not to the service."""
    group = commands.add_parser("judges", help="list judges, discover and probe models")
    actions = group.add_subparsers(metavar="ACTION", required=True)
    talks(actions.add_parser("list", help="the judges, their versions and their health"), _list)
    finding = actions.add_parser(
        "discover", help="which models an OpenAI-compatible server offers, as entries of judges.toml"
    )
    finding.add_argument(
        "server", metavar="URL", help="as http://localhost:11434 (Ollama), with or without /v1"
    )
    finding.add_argument("--api-key-env", metavar="NAME", help="the variable that holds the server's key")
    finding.add_argument("--model", action="append", metavar="ID", help="only this model; repeatable")
    finding.add_argument(
        "--family", metavar="NAME", help="the family of these models, where its name says none"
    )
    finding.add_argument("--no-probe", action="store_true", help="only list the models, call none")
    finding.add_argument(
        "--write", type=Path, metavar="FILE", help="write the entries; a file that is there grows"
    )
    finding.add_argument("--timeout", type=between(1, 3600), default=60, metavar="S", help="per call")
    prints_json(finding)
    finding.set_defaults(run=_discover)
    trying = actions.add_parser("probe", help="what the judges of a roster file can do")
    trying.add_argument(
        "names", nargs="*", metavar="NAME", help="default: every enabled judge that calls a model"
    )
    trying.add_argument("--judges", type=existing_file, metavar="FILE", help="the roster [VENIRE_JUDGES]")
    trying.add_argument("--timeout", type=between(1, 3600), default=60, metavar="S", help="per call")
    prints_json(trying)
    trying.set_defaults(run=_probe)


async def _list(arguments: Namespace, service: Service, output: Output) -> int:
    judges = await service.all("/judges")
    project = await service.get("/project")
    output.document(judges)
    rows = [_row(judge) for judge in judges]
    heads = (
        "judge",
        "family",
        "model",
        "state",
        "verdicts",
        "calls 24 h",
        "unscored",
        "median ms",
        "cost 24 h",
    )
    output.table(Table("", heads, rows, frozenset({4, 5, 6, 7, 8})))
    output.say(*(f"- {warning}" for warning in project["warnings"]))
    return OK


def _row(judge: dict[str, Any]) -> tuple[str, ...]:
    version = next((v for v in judge["versions"] if v["current"]), (judge["versions"] or [None])[-1])
    state = "simulated" if judge["simulated"] else "enabled" if judge["enabled"] else "recorded"
    if judge["on_roster"] and not judge["enabled"]:
        state = "disabled"
    if version is None:
        return (judge["name"], judge["family"], "–", state, "0", "0", "–", "–", "–")
    health = version["health"]
    rate = "–" if health["unscored_rate"] is None else f"{100 * health['unscored_rate']:.1f}%"
    calls, median, cost = health["calls"], number(health["latency_p50_ms"], 0), money(health["cost_usd"])
    verdicts = f"{sum(v['verdicts'] for v in judge['versions']):,}"
    return (
        judge["name"],
        judge["family"],
        version["model"],
        state,
        verdicts,
        f"{calls:,}",
        rate,
        median,
        cost,
    )


def _discover(arguments: Namespace, wiring: Wiring) -> int:
    from app.judges.completion import CallFailed
    from app.judges.discover import discover

    output = Output(as_json=arguments.json)
    key = wiring.environment.get(arguments.api_key_env) if arguments.api_key_env else None
    try:
        found = asyncio.run(discover(arguments.server, api_key=key, api_key_env=arguments.api_key_env))
    except CallFailed as failed:
        raise CannotRun(f"{arguments.server} offers no models: {failed}") from failed
    found = _chosen(found, arguments)
    results = None if arguments.no_probe else _probe_all([p.config for p in found], arguments.timeout)
    _tell(found, results, arguments, output)
    return FAILED if not found else FINDING if results and not any(r.works for r in results) else OK


def _chosen(found: "tuple[Proposal, ...]", arguments: Namespace) -> "tuple[Proposal, ...]":
    from dataclasses import replace

    if arguments.model:
        offered = {proposal.config.model for proposal in found}
        if missing := sorted(set(arguments.model) - offered):
            raise CannotRun(
                f"the server does not offer {', '.join(missing)}; it has {', '.join(sorted(offered))}"
            )
        found = tuple(proposal for proposal in found if proposal.config.model in arguments.model)
    if arguments.family:
        found = tuple(
            replace(p, config=replace(p.config, family=arguments.family), family_known=True) for p in found
        )
    return found


def _tell(
    found: "tuple[Proposal, ...]",
    results: "list[ProbeResult] | None",
    arguments: Namespace,
    output: Output,
) -> None:
    from dataclasses import replace

    from app.judges.discover import probed
    from app.judges.roster_file import write_judges

    configs, comments, documents = [], {}, []
    for number_, proposal in enumerate(found):
        config, said = proposal.config, []
        if not proposal.family_known:
            said.append("The family is a guess: models of one lineage must share it.")
        if results is not None:
            result = results[number_]
            config = (
                _with_time(probed(config, result), result) if result.works else replace(config, enabled=False)
            )
            said.append(f"Probed: {result.sentence()}.")
        configs.append(config)
        comments[config.name] = "\n".join(said)
        documents.append(
            _document(config, proposal.family_known, None if results is None else results[number_])
        )
    output.document(documents)
    rows = [
        (c.name, c.family + ("" if p.family_known else " ?"), c.model, r.sentence() if r else "not probed")
        for c, p, r in zip(configs, found, results or repeat(None, len(found)), strict=True)
    ]
    output.table(Table("", ("judge", "family", "model", "what it can do"), rows))
    text = write_judges(configs, comments)
    if arguments.write is None:
        output.say("", "Entries for judges.toml (--write FILE puts them there):", "", text)
        return
    _write(arguments.write, text, [c.name for c in configs])
    output.note(f"{len(configs)} judge{'s' * (len(configs) != 1)} written to {arguments.write}; "
                "check the families, then: VENIRE_JUDGES=" + str(arguments.write))  # fmt: skip


def _with_time(config: "JudgeConfig", result: "ProbeResult") -> "JudgeConfig":
    """A slow model gets the time that several of its answers take, one waiting for the other."""
    from dataclasses import replace
    from math import ceil

    return replace(
        config, timeout_s=max(config.timeout_s, float(ceil(_PATIENCE * (result.latency_ms or 0) / 1000)))
    )


def _write(path: Path, text: str, names: list[str]) -> None:
    """Add entries to a roster file; a judge that is there already is not added twice."""
    import tomllib

    before = path.read_text("utf-8") if path.exists() else ""
    try:
        known = {str(judge.get("name")) for judge in tomllib.loads(before).get("judges", [])}
    except (tomllib.TOMLDecodeError, AttributeError) as error:
        raise CannotRun(f"{path} is there and is no roster: {error}") from error
    if doubled := sorted(known.intersection(names)):
        raise CannotRun(f"{path} has judges of these names already: {', '.join(doubled)}")
    path.write_text(f"{before.rstrip()}\n\n{text}" if before.strip() else text, "utf-8")


def _probe(arguments: Namespace, wiring: Wiring) -> int:
    from app.judges.config import read_judges_file
    from app.judges.params import SCHEMAS

    output = Output(as_json=arguments.json)
    path = arguments.judges or wiring.environment.get("VENIRE_JUDGES")
    if not path:
        raise CannotRun(
            "name the roster: --judges FILE, or VENIRE_JUDGES; simulated judges have nothing to probe"
        )
    file = read_judges_file(Path(path), wiring.environment)
    if file.problems:
        from app.domain.problems import BadInput

        raise BadInput(f"the roster {path} cannot be used", file.problems)
    callable_ = [judge for judge in file.judges if judge.provider in SCHEMAS]
    if unknown := sorted(set(arguments.names) - {judge.name for judge in callable_}):
        raise CannotRun(f"{path} has no judge that calls a model named {', '.join(unknown)}")
    chosen = [j for j in callable_ if (j.name in arguments.names if arguments.names else j.enabled)]
    results = _probe_all(chosen, arguments.timeout)
    output.document([_document(c, True, r) for c, r in zip(chosen, results, strict=True)])
    rows = [(c.name, c.family, c.model, r.sentence()) for c, r in zip(chosen, results, strict=True)]
    output.table(Table("", ("judge", "family", "model", "what it can do"), rows))
    return OK if all(result.works for result in results) else FINDING


def _probe_all(configs: "list[JudgeConfig]", timeout_s: float) -> "list[ProbeResult]":
    """One model after the other: a small machine holds one in memory at a time."""
    from app.judges.discover import probe

    progress = Progress()

    async def one_by_one() -> "list[ProbeResult]":
        results = []
        for done, config in enumerate(configs):
            progress.show(f"probing {config.model} ({done + 1} of {len(configs)})", last=True)
            results.append(await probe(config, timeout_s=timeout_s))
        return results

    return asyncio.run(one_by_one())


def _document(config: "JudgeConfig", family_known: bool, result: "ProbeResult | None") -> dict[str, Any]:
    from dataclasses import asdict

    probed = (
        None if result is None else {**asdict(result), "works": result.works, "sentence": result.sentence()}
    )
    return {
        "name": config.name,
        "family": config.family,
        "family_known": family_known,
        "provider": config.provider,
        "model": config.model,
        "base_url": config.base_url,
        "params": config.param_values(),
        "enabled": config.enabled,
        "probe": probed,
    }
