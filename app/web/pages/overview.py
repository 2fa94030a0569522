"""The first page: what is calibrated, what is missing, and the next step to take."""

from dataclasses import dataclass
from datetime import UTC, datetime
from json import dumps
from typing import Annotated

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.domain.projects import Scope
from app.reporting.overview import CriterionStanding, Overview, State, Step, overview
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.chosen import pair
from app.web.pages.page import Link, show
from app.web.pages.words import Mark, ago, count, counted, sentence
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]

STATE_MARKS = {
    State.EMPTY: Mark("nothing yet", "", "no verdicts and no human grades"),
    State.NOT_CALIBRATED: Mark("not calibrated", "unsure", "only raw verdicts"),
    State.QUEUED: Mark("queued", "", "a calibration waits its turn"),
    State.RUNNING: Mark("running", "", "is being calibrated now"),
    State.REFUSED: Mark("refused", "unsure", "the data cannot carry a calibration yet"),
    State.FAILED: Mark("failed", "bad", "the calibration broke"),
    State.CALIBRATED: Mark("calibrated", "good", "scores stand on human grades"),
    State.STALE: Mark("stale", "unsure", "the rubric changed since the calibration"),
}


@dataclass(frozen=True, slots=True)
class NextStep:
    """One step: what to do, why, where, and the command that does it from a terminal."""

    heading: str
    text: str
    links: tuple[Link, ...]
    command: str | None
    also: str | None = None


@dataclass(frozen=True, slots=True)
class CriterionLine:
    """A row of the table of criteria."""

    rubric: str
    rubric_href: str
    criterion: str
    kind: str
    mark: Mark
    when: str
    verdicts: str
    judges: str
    human_grades: str
    new_verdicts: str
    link: Link
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """A number with its name, for the strip at the top."""

    name: str
    value: str
    note: str
    href: str


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """The whole page."""

    title: str
    next_step: NextStep
    counts: tuple[Count, ...]
    lines: tuple[CriterionLine, ...]


@router.get("/ui")
async def show_overview(request: Request, caller: Reader, services: Served) -> Response:
    """Everything at a glance."""
    now = datetime.now(UTC)
    found = await overview(services.database, caller.project, now=now)
    base = services.public_url or str(request.base_url).rstrip("/")
    page = OverviewPage(
        title="Overview",
        next_step=_next_step(found, base),
        counts=_counts(found),
        lines=tuple(_line(one, now) for one in found.criteria),
    )
    return show(request, "overview.html", page)


@router.get("/ui/")
async def one_address() -> Response:
    """The same page has one address."""
    return RedirectResponse("/ui", 308)


@router.get("/")
async def root() -> Response:
    """Whoever comes with a browser wants the pages."""
    return RedirectResponse("/ui", 307)


def _line(one: CriterionStanding, now: datetime) -> CriterionLine:
    return CriterionLine(
        rubric=one.rubric,
        rubric_href=url("rubrics", one.rubric),
        criterion=one.criterion,
        kind=one.kind,
        mark=STATE_MARKS[one.state],
        when=ago(one.calibrated_at, now),
        verdicts=count(one.verdicts) + (" simulated" if one.simulated else ""),
        judges=count(one.judges),
        human_grades=count(one.human_grades),
        new_verdicts=count(one.new_verdicts) if one.calibration_id else "–",
        link=_link(one),
        why=tuple(map(sentence, one.why)),
    )


def _link(one: CriterionStanding) -> Link:
    if one.step in (Step.READ, Step.RECALIBRATE):
        return Link("Quality", url("quality", rubric=one.rubric, criterion=one.criterion))
    if one.run_id is not None:
        return Link("Why", url("calibrations", one.run_id))
    if one.step is Step.UPLOAD_ANCHORS:
        return Link("Upload anchors", url("anchor-sets", "upload", rubric=one.rubric))
    if one.step is Step.CALIBRATE:
        return Link("Calibrate", url("calibrations", rubric=one.rubric))
    return Link("How to begin", url("rubrics", one.rubric))


def _counts(found: Overview) -> tuple[Count, ...]:
    grades = sum(found.grades.values())
    poor = [f"{count(n)} {status}" for status, n in sorted(found.grades.items()) if status != "complete"]
    shown = f"{count(grades)}+" if grades >= found.most_counted else count(grades)
    running = found.imports.get("running", 0)
    done = sum(1 for one in found.criteria if one.state in (State.CALIBRATED, State.STALE))
    return (
        Count(
            "Criteria calibrated", f"{done} of {len(found.criteria)}", "by human grades", "/ui/calibrations"
        ),
        Count("Grades, last 24 hours", shown, ", ".join(poor) or "none incomplete", "/ui/grades"),
        Count(
            "Verdicts imported",
            count(found.imported_verdicts),
            f"in {counted(found.imports.get('done', 0), 'import')}" + (", one is running" if running else ""),
            "/ui/imports",
        ),
        Count("Anchor sets", count(found.anchor_sets), "of human grades", "/ui/anchor-sets"),
    )


def _next_step(found: Overview, base: str) -> NextStep:
    if found.about is None:
        return NextStep(
            "Say what good means: put a rubric",
            "A rubric tells judges and people what to grade, and on which scale. Send one to begin.",
            (Link("What rubrics look like", "/ui/rubrics"),),
            _PUT_RUBRIC.format(base=base),
            "No data at hand? venire demo loads a simulated project with known truth in under a minute.",
        )
    return _STEPS[found.step](found.about, base)


def _bring_verdicts(one: CriterionStanding, base: str) -> NextStep:
    grade = _GRADE[one.kind].format(base=base, rubric=_in_json(one.rubric))
    return NextStep(
        f"Get verdicts on {one.rubric}",
        "Grade an answer with a panel of judges, or bring in verdicts that you already have as a file.",
        (Link("The rubric", url("rubrics", one.rubric)), Link("Imports", "/ui/imports")),
        f"{grade}\n\n# or bring in what exists\n"
        f"curl -s {base}/verdicts -F rubric={_shell(one.rubric)} -F file=@verdicts.csv",
    )


def _upload_anchors(one: CriterionStanding, base: str) -> NextStep:
    return NextStep(
        f"Upload human grades for {one.rubric}",
        f"{counted(one.verdicts, 'verdict')} of {counted(one.judges, 'judge')} on "
        f"{one.criterion}, and nobody knows yet what people would have said. Have people grade "
        "a random sample, 60 answers or more, and upload it.",
        (
            Link("Upload a file", url("anchor-sets", "upload", rubric=one.rubric)),
            Link("Have people grade here", url("annotate", rubric=one.rubric)),
        ),
        f"curl -s {base}/anchors -F rubric={_shell(one.rubric)} -F anchor_set=first -F file=@anchors.csv",
    )


def _calibrate(one: CriterionStanding, base: str) -> NextStep:
    return NextStep(
        f"Calibrate {one.rubric}",
        f"{counted(one.human_grades, 'human grade')} and {counted(one.verdicts, 'verdict')} on "
        f"{one.criterion} wait to be brought together.",
        (Link("Schedule a calibration", url("calibrations", rubric=one.rubric)),),
        f"curl -s {base}/calibrations -H 'content-type: application/json' "
        f'-d \'{{"rubric": "{_in_json(one.rubric)}"}}\'',
    )


def _wait(one: CriterionStanding, base: str) -> NextStep:
    return NextStep(
        f"A calibration of {one.rubric} is on its way",
        f"{one.criterion} is being fitted: seconds for most, minutes for a million verdicts. Reload to see.",
        (Link("Look at it", url("calibrations", one.run_id) if one.run_id else "/ui/calibrations"),),
        None,
    )


def _mend(one: CriterionStanding, base: str) -> NextStep:
    return NextStep(
        f"{one.criterion} ({one.rubric}) could not be calibrated",
        "What the calibration lacks is listed with the run. Most often it is human grades, of more "
        "prompts or more systems.",
        (
            Link("What is missing", url("calibrations", one.run_id) if one.run_id else "/ui/calibrations"),
            Link("Plan more human grades", url("annotate", "-", "plan", of=pair(one.rubric, one.criterion))),
            Link("Upload more anchors", url("anchor-sets", "upload", rubric=one.rubric)),
        ),
        None,
    )


def _recalibrate(one: CriterionStanding, base: str) -> NextStep:
    since = (
        "The rubric has changed since"
        if one.state is State.STALE
        else f"{counted(one.new_verdicts, 'verdict')} came since"
    )
    return NextStep(
        f"Calibrate {one.rubric} again",
        f"{since} {one.criterion} was calibrated; grades made meanwhile may say less than they could.",
        (Link("Schedule a calibration", url("calibrations", rubric=one.rubric)),),
        None,
    )


def _read(one: CriterionStanding, base: str) -> NextStep:
    return NextStep(
        "Read the results",
        "Every criterion with verdicts and human grades is calibrated. See how the systems stand, and what "
        "each judge is biased towards.",
        (
            Link("Quality", url("quality", rubric=one.rubric, criterion=one.criterion)),
            Link("Judges", url("judges", rubric=one.rubric, criterion=one.criterion)),
        ),
        None,
    )


_STEPS = {
    Step.BRING_VERDICTS: _bring_verdicts,
    Step.UPLOAD_ANCHORS: _upload_anchors,
    Step.CALIBRATE: _calibrate,
    Step.WAIT: _wait,
    Step.MEND: _mend,
    Step.RECALIBRATE: _recalibrate,
    Step.READ: _read,
}


def _shell(name: str) -> str:
    """A name as one word of a shell."""
    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if plain else "'" + name.replace("'", "'\\''") + "'"


def _in_json(name: str) -> str:
    """A name inside a JSON string inside a shell's single quotes."""
    return dumps(name)[1:-1].replace("'", "\\u0027")


_PUT_RUBRIC = """\
curl -s -X PUT {base}/rubrics/helpfulness -H 'content-type: application/json' -d '{{
  "kind": "pointwise",
  "instructions": "You judge answers of a support assistant.",
  "criteria": [{{"name": "helpfulness", "description": "How far the answer solves the problem.",
                "scale": {{"min": 1, "max": 5, "step": 1}}}}]
}}'"""

_ONE = '{{"system": "bot-1", "text": "Press Reset for ten seconds."}}'
_TWO = _ONE + ', {{"system": "bot-2", "text": "Buy a new one."}}'
_POST = """\
curl -s {{base}}/grade -H 'content-type: application/json' -d '{{{{
  "rubric": "{{rubric}}", "prompt": "How do I reset it?",
  "answers": [{answers}]
}}}}'"""
_GRADE = {
    "pointwise": _POST.format(answers=_ONE),
    "pairwise": _POST.format(answers=_TWO),
    "listwise": _POST.format(answers=_TWO),
}
