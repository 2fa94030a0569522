"""``venire demo``: a service of its own, a simulated world of known truth, and what comes out of it."""

import asyncio
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from app.cli.client import at_address
from app.cli.errors import OK
from app.cli.options import existing_file, prints_json, whole
from app.cli.output import Output, Progress
from app.cli.wiring import Commands, Wiring

if TYPE_CHECKING:
    from app.judges.planted_effects import Effects

_PROMPTS, _FEWEST = 60, 25  # with fewer a calibration would be refused, or tell nothing


def add(commands: Commands, wiring: Wiring) -> None:
    """Simulated unless told which judges."""
    parser = commands.add_parser(
        "demo",
        help="see it work on a simulated world of known truth",
        description="Starts a service of its own on a free port, grades made-up answers of known quality by "
        "simulated judges of known bias, brings in grades of made-up people, calibrates, and sets what was "
        "planted beside what was estimated. With --judges real models judge short factual answers instead: "
        "then nothing is planted, and nobody is made up.",
    )
    parser.add_argument(
        "--judges", type=existing_file, metavar="FILE", help="a judges.toml: ask these models"
    )
    parser.add_argument(
        "--prompts",
        type=whole(_FEWEST, 400),
        metavar="N",
        help=f"size, at least {_FEWEST} (default: {_PROMPTS}; with --judges: 30)",
    )
    parser.add_argument(
        "--seed", type=whole(0, 10**9), default=1, metavar="N", help="of the world (default: 1)"
    )
    parser.add_argument(
        "--dir", type=Path, metavar="FOLDER", help="wiped at the start (default: demo in the data directory)"
    )
    parser.add_argument("--port", type=whole(0, 65535), default=0, metavar="N", help="default: a free one")
    parser.add_argument("--stay", action="store_true", help="keep the service up and say where its pages are")
    prints_json(parser)
    parser.set_defaults(run=_run)


def _run(arguments: Namespace, wiring: Wiring) -> int:
    from app.cli.demonstration.own_service import empty_folder, folder_of, own_service

    default = next((o.default for o in wiring.options if o.variable == "VENIRE_DATA_DIR"), "data")
    folder = arguments.dir or folder_of(wiring.environment, default)
    empty_folder(folder)
    output, steps = Output(as_json=arguments.json), _Steps()
    steps.say(f"starting a service on {folder}")
    with own_service(folder, wiring.environment, port=arguments.port, judges=arguments.judges) as url:
        steps.say(f"the service is up at {url}")
        show = _with_models if arguments.judges else _simulated
        asyncio.run(show(arguments, url, output, steps))
        steps.say("done")
        if arguments.stay:
            _stay(url, output)
    return OK


@dataclass(slots=True)
class _Steps:
    """Says on stderr what is being done, with the seconds since the start."""

    began: float = field(default_factory=monotonic)

    def say(self, what: str) -> None:
        Progress().show(f"[{monotonic() - self.began:5.1f} s] {what}", last=True)

    def counting(self, what: str) -> Callable[[int, int], None]:
        progress = Progress()
        return lambda done, of: progress.show(
            f"[{monotonic() - self.began:5.1f} s] {what}: {done:,} of {of:,}", last=done == of
        )


async def _simulated(arguments: Namespace, url: str, output: Output, steps: _Steps) -> None:
    from app.cli.demonstration import loading, world
    from app.cli.demonstration.findings import find, tell
    from app.cli.demonstration.loading import PAIRWISE, POINTWISE, RUBRICS

    seed = arguments.seed
    prompts = world.write_prompts(arguments.prompts or _PROMPTS, seed)
    steps.say(f"wrote {len(prompts) * len(world.SYSTEMS)} made-up answers of {len(world.SYSTEMS)} systems")
    async with at_address(url) as service:
        for name, (kind, criteria) in RUBRICS.items():
            await loading.put_rubric(service, name, kind, criteria, "You judge answers in a made-up world.")
        pointwise = list(world.pointwise_requests(prompts, seed, POINTWISE))
        pairwise = list(world.pairwise_requests(prompts, seed, PAIRWISE))
        await loading.grade_all(service, pointwise, steps.counting("grading answers"))
        await loading.grade_all(service, pairwise, steps.counting("grading pairs, in both orders"))
        await loading.upload_anchors(service, POINTWISE, world.graded_answers(prompts, seed))
        await loading.upload_anchors(service, PAIRWISE, world.graded_pairs(prompts, seed))
        steps.say("uploaded the grades of made-up people; calibrating")
        await loading.calibrated(service, POINTWISE)
        await loading.calibrated(service, PAIRWISE)
        steps.say("calibrated; reading the reports")
        findings = await find(service, _built_in_judges())
    output.document(findings.document())
    output.say("")
    tell(findings, output)


def _built_in_judges() -> "dict[str, tuple[str, Effects]]":
    """The simulated judges' families and what is planted in them."""
    from app.judges.planted_effects import read_effects
    from app.judges.roster import simulated_roster

    configs = [entry.config for entry in simulated_roster().entries]
    return {c.name: (c.family, read_effects(c.param_values())[0]) for c in configs}


async def _with_models(arguments: Namespace, url: str, output: Output, steps: _Steps) -> None:
    from app.cli.demonstration import real_models

    async with at_address(url) as service:
        report = await real_models.run(
            service, arguments.prompts or real_models.MOST, arguments.seed, steps.counting, steps.say
        )
    output.document(report.document())
    real_models.tell(report, output)


def _stay(url: str, output: Output) -> None:
    from time import sleep

    output.note("", f"The service stays up: {url}/ui (Ctrl-C ends it)")
    try:
        while True:
            sleep(3600)
    except KeyboardInterrupt:
        return
