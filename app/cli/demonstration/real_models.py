"""The demo on real models: short factual answers, right and wrong, compared in both orders.

Nothing is planted in real models, and no people are made up for them. What needs no people is told: which
answers they prefer, how much they go by the place, whether they contradict themselves, what they leave out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from app.cli.bias import effects_table
from app.cli.calibrations import wait_for
from app.cli.client import Service, part
from app.cli.demonstration.loading import grade_all, put_rubric
from app.cli.errors import CannotRun
from app.cli.output import Output, Table, money, number
from app.domain.rubrics import Criterion, Scale

RUBRIC, CORRECTNESS = (
    "demo-facts",
    Criterion("correctness", "Which answer is factually right?", Scale(-1, 1, 1)),
)
_NEEDS_NO_PEOPLE = ("position", "order_flips", "unscored_rate")
_AT_ONCE, _AT_ONCE_LOCAL = 4, 1  # grades; a server of one's own mostly answers one call after the other

_FACTS = """\
What is the capital of France?|The capital of France is Paris.|The capital of France is Madrid.
How many legs does a spider have?|A spider has eight legs.|A spider has six legs.
Which planet is closest to the Sun?|Mercury is closest to the Sun.|Saturn is closest to the Sun.
At which temperature does water freeze?|It freezes at 0 degrees Celsius.|It freezes at 40 degrees Celsius.
Who wrote Romeo and Juliet?|William Shakespeare wrote it.|Charles Dickens wrote it.
How many days does a leap year have?|A leap year has 366 days.|A leap year has 364 days.
What is the chemical formula of water?|It is H2O.|It is CO2.
Which is the largest ocean?|The Pacific is the largest ocean.|The Arctic is the largest ocean.
What does a bee make?|Bees make honey.|Bees make milk.
How many sides does a triangle have?|A triangle has three sides.|A triangle has five sides.
In which country are the pyramids of Giza?|They are in Egypt.|They are in Norway.
Which gas do plants take in?|Plants take in carbon dioxide.|Plants take in helium.
What is 7 times 8?|7 times 8 is 56.|7 times 8 is 65.
Which language is spoken in Brazil?|Portuguese is spoken in Brazil.|Finnish is spoken in Brazil.
How many hours does a day have?|A day has 24 hours.|A day has 20 hours.
Which animal is the tallest?|The giraffe is the tallest animal.|The rabbit is the tallest animal.
What is the square root of 81?|It is 9.|It is 8.
Which organ pumps blood?|The heart pumps blood.|The liver pumps blood.
Where does the Sun rise?|The Sun rises in the east.|The Sun rises in the west.
How many continents are there?|There are seven continents.|There are twelve continents.
Which metal is liquid at room temperature?|Mercury is liquid then.|Iron is liquid then.
What is the opposite of hot?|The opposite of hot is cold.|The opposite of hot is red.
Which is the longest river in Africa?|The Nile is the longest.|The Thames is the longest.
How many letters does the English alphabet have?|It has 26 letters.|It has 30 letters.
What is frozen water called?|It is called ice.|It is called sand.
Which instrument measures temperature?|A thermometer does.|A ruler does.
What is the currency of Japan?|It is the yen.|It is the peso.
How many minutes are in an hour?|There are 60 minutes.|There are 90 minutes.
Which season follows winter?|Spring follows winter.|Autumn follows winter.
What colour is a ripe banana?|A ripe banana is yellow.|A ripe banana is blue."""
_PADDING = (
    " This is a question that many people ask, and it is good to know the answer to it, since it comes up "
    "now and then in everyday life."
)
FACTS = tuple(tuple(line.split("|")) for line in _FACTS.splitlines())
MOST = len(FACTS)


@dataclass(frozen=True, slots=True)
class Report:
    """What was estimated: raw win rates, and per judge the effects that need no people."""

    families: int
    judges: tuple[dict[str, Any], ...]
    systems: tuple[dict[str, Any], ...]
    simulated: bool
    cost_usd: float
    unscored: int
    seats: int

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "simulated": self.simulated,
            "planted": None,
            "families": self.families,
            "judges": list(self.judges),
            "systems": list(self.systems),
            "cost_usd": self.cost_usd,
            "seats": self.seats,
            "unscored_seats": self.unscored,
        }


async def run(
    service: Service,
    questions: int,
    seed: int,
    counting: Callable[[str], Callable[[int, int], None]],
    say: Callable[[str], None],
) -> Report:
    """Have the roster's models compare answers, calibrate on nobody, and read what can be told."""
    judges = [judge for judge in await service.all("/judges") if judge["enabled"]]
    families = len({judge["family"] for judge in judges})
    if not families:
        raise CannotRun("the roster has no enabled judge")
    if families < 3:
        say(f"only {families} of the 3 families that a panel needs: the demo's own rules are relaxed for it")
        await service.patch("/project", {"panel": {"min_families": families}})
    await put_rubric(
        service, RUBRIC, "pairwise", (CORRECTNESS,), "Say which of the two answers is factually correct."
    )
    at_once = _AT_ONCE_LOCAL if any(judge["base_url"] for judge in judges) else _AT_ONCE
    requests = list(_requests(min(questions, MOST), seed, min(families, 3)))
    grades = await grade_all(service, requests, counting("comparing pairs, in both orders"), at_once)
    say("graded; fitting what needs no people")
    queued = await service.post("/calibrations", {"rubric": RUBRIC})
    await wait_for(service, [run["calibration_id"] for run in queued["calibrations"]])
    query = {"rubric": RUBRIC, "criterion": CORRECTNESS.name}
    table = await service.get("/quality", **query)
    told = [await _judge(service, judge["name"], query) for judge in judges]
    seats = [seat for grade in grades for seat in grade["seats"]]
    return Report(
        families=families,
        judges=tuple(told),
        systems=tuple(
            {k: row[k] for k in ("system", "n_items", "raw_mean", "status")} for row in table["rows"]
        ),
        simulated=any(grade["simulated"] for grade in grades),
        cost_usd=sum(grade["cost_usd"] for grade in grades),
        unscored=sum(seat["unscored"] is not None for seat in seats),
        seats=len(seats),
    )


async def _judge(service: Service, name: str, query: Mapping[str, str]) -> dict[str, Any]:
    report = await service.get(f"/judges/{part(name)}/bias", **query)
    versions = [version for criterion in report["criteria"] for version in criterion["versions"]]
    effects = [e for version in versions for e in version["effects"] if e["name"] in _NEEDS_NO_PEOPLE]
    model = versions[0]["model"] if versions else None
    return {"judge": name, "family": report["family"], "model": model, "effects": effects}


def _requests(questions: int, seed: int, families: int) -> Iterator[dict[str, Any]]:
    for number_, (question, right, wrong) in enumerate(FACTS[:questions]):
        texts = {"right": right, "right-and-wordy": right + _PADDING, "wrong": wrong}
        for one, other in (("right", "wrong"), ("right-and-wordy", "right")):
            yield {
                "rubric": RUBRIC,
                "item_id": f"fact-{number_ + 1}",
                "prompt": question,
                "answers": [{"system": name, "text": texts[name]} for name in (one, other)],
                "panel": {
                    "families": families,
                    "both_orders": True,
                    "seed": Random(f"{seed} {number_} {one}").getrandbits(52),
                },
                "timeout_s": 600,
            }


def tell(report: Report, output: Output) -> None:
    """The report for people."""
    mark = "SIMULATED: " if report.simulated else ""
    rows = [(row["system"], str(row["n_items"]), number(row["raw_mean"])) for row in report.systems]
    output.say("")
    output.table(Table(f"{mark}share of pairs won, as the judges see it", ("answers", "pairs", "raw"), rows,
                       frozenset({1, 2})))  # fmt: skip
    for judge in report.judges:
        output.say("")
        output.table(
            effects_table(f"{mark}{judge['judge']} ({judge['model'] or 'no verdicts'})", judge["effects"])
        )
        output.say(*(f"  {effect['sentence']}" for effect in judge["effects"]))
    output.say(
        "",
        f"{report.seats:,} verdicts asked for, {report.unscored:,} unscored, {money(report.cost_usd)}.",
        "Nothing is planted in these judges, and nobody was made up to measure them: this is what can be "
        "estimated without people. Severity, discrimination, length and own family, and corrected values "
        "with intervals, need human grades: venire anchors upload.",
    )
    if report.families < 3:
        output.say(
            f"The panel had {report.families} of 3 families: biases that a family shares do not average out."
        )
