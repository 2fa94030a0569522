"""What the service estimated, side by side with what was planted."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from app.cli.client import Service, part
from app.cli.demonstration.loading import PAIRWISE, POINTWISE
from app.cli.demonstration.planted import true_biases, true_quality, true_win_rates
from app.cli.demonstration.world import HELPFULNESS
from app.cli.output import Output, Table, interval, number
from app.judges.planted_effects import Effects

_BIASES = ("severity", "discrimination", "length", "own_family")
_IN_SD = {
    "severity": "severity",
    "discrimination": "discrimination",
    "length": "length",
    "own_family": "own_family",
    "position": "position",
}


@dataclass(frozen=True, slots=True)
class Quality:
    """A system on one criterion: points, or for pairs a win rate. ``covers`` is None without an interval."""

    table: str
    system: str
    true: float
    raw: float | None
    corrected: float | None
    interval: tuple[float, float] | None
    status: str
    covers: bool | None


@dataclass(frozen=True, slots=True)
class Bias:
    """A judge's effect: as planted in SD of quality, the same in the report's unit, and as estimated."""

    judge: str
    effect: str
    planted_sd: float
    planted: float
    estimate: float | None
    interval: tuple[float, float] | None
    unit: str | None
    status: str
    covers: bool | None


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that was planted and estimated."""

    quality: tuple[Quality, ...]
    bias: tuple[Bias, ...]

    def covered(self) -> dict[str, tuple[int, int]]:
        """How many intervals hold the planted value, of how many there are."""
        return {"quality": _covered(self.quality), "bias": _covered(self.bias)}

    def error(self) -> dict[str, float]:
        """Root mean squared error of systems' quality on the pointwise criteria, in points."""
        pointwise = [one for one in self.quality if "pairs" not in one.table]
        both = [(one.raw, one.corrected, one.true) for one in pointwise]
        return {
            "raw": _rmse((raw, true) for raw, _, true in both),
            "corrected": _rmse((corrected, true) for _, corrected, true in both),
        }

    def document(self) -> dict[str, Any]:
        """The findings as JSON."""
        return {
            "simulated": True,
            "quality": [asdict(one) for one in self.quality],
            "bias": [asdict(one) for one in self.bias],
            "intervals_that_cover": {
                name: {"covering": hits, "of": count} for name, (hits, count) in self.covered().items()
            },
            "rmse_points": self.error(),
        }


async def find(service: Service, judges: Mapping[str, tuple[str, Effects]]) -> Findings:
    """Read the reports, and set beside them what is true of this world."""
    truth: dict[tuple[str, str], dict[str, float]] = {
        (POINTWISE, criterion): values for criterion, values in true_quality().items()
    }
    truth[PAIRWISE, HELPFULNESS.name] = true_win_rates()
    quality: list[Quality] = []
    for (rubric, criterion), values in truth.items():
        table = await service.get("/quality", rubric=rubric, criterion=criterion)
        name = f"{criterion}, pairs" if rubric == PAIRWISE else criterion
        quality += [_quality(name, row, values[row["system"]]) for row in table["rows"]]
    planted = true_biases(judges)
    bias: list[Bias] = []
    for judge, (_, effects) in judges.items():
        path = f"/judges/{part(judge)}/bias"
        reports = [
            await service.get(path, rubric=rubric, criterion=HELPFULNESS.name)
            for rubric in (POINTWISE, PAIRWISE)
        ]
        told = {e["name"]: e for e in _effects(reports[0]) if e["name"] in _BIASES}
        told |= {e["name"]: e for e in _effects(reports[1]) if e["name"] == "position"}
        for name, field in _IN_SD.items():
            if name in told:
                bias.append(_bias(judge, told[name], float(getattr(effects, field)), planted[judge][name]))
    return Findings(tuple(quality), tuple(bias))


def tell(findings: Findings, output: Output) -> None:
    """The findings for people."""
    for name in dict.fromkeys(one.table for one in findings.quality):
        rows = [_quality_row(one) for one in findings.quality if one.table == name]
        unit = "share of pairs won" if "pairs" in name else "points, 1 to 5"
        heads = ("system", "true quality", "raw panel", "corrected", "95% interval", "covers")
        title = f"SIMULATED: {name} ({unit})"
        output.table(
            Table(title, heads, sorted(rows, key=lambda row: -float(row[1])), frozenset({1, 2, 3, 4}))
        )
        output.say("")
    rows_ = [
        (
            one.judge,
            one.effect.replace("_", " "),
            f"{one.planted_sd:+.2f}",
            number(one.planted),
            number(one.estimate),
            interval(one.interval),
            _yes(one.covers),
            one.unit or one.status.replace("_", " "),
        )
        for one in findings.bias
    ]
    heads_ = ("judge", "bias", "planted (SD)", "planted", "estimated", "95% interval", "covers", "unit")
    output.table(
        Table("SIMULATED: biases of the judges, relative to people", heads_, rows_, frozenset({2, 3, 4, 5}))
    )
    output.say("", *_summary(findings))


def _summary(findings: Findings) -> list[str]:
    error, covered = findings.error(), findings.covered()
    (systems, of_systems), (biases, of_biases) = covered["quality"], covered["bias"]
    return [
        f"Against the true quality of the systems the raw panel errs by {error['raw']:.2f} points, "
        f"the corrected values by {error['corrected']:.2f} (root mean square).",
        f"95% intervals that hold what was planted: {systems} of {of_systems} for quality, "
        f"{biases} of {of_biases} for biases.",
        "The column planted (SD) is what the judge's parameters say, in standard deviations of quality; "
        "planted is the same in the report's unit: on these systems, relative to these people (severe "
        "themselves), through the ends and the steps of the scale.",
        "SIMULATED: systems, answers, people and judges are made up. Nothing here measures a real model.",
    ]


def _quality(table: str, row: Mapping[str, Any], true: float) -> Quality:
    ends = row["interval"]
    return Quality(
        table, row["system"], true, row["raw_mean"], row["corrected"], ends, row["status"], _in(true, ends)
    )


def _quality_row(one: Quality) -> tuple[str, ...]:
    values = (one.true, one.raw, one.corrected)
    covers = _yes(one.covers) if one.status == "calibrated" else f"{_yes(one.covers)} ({one.status})"
    return (one.system, *map(number, values), interval(one.interval), covers)


def _bias(judge: str, told: Mapping[str, Any], planted_sd: float, planted: float) -> Bias:
    ends = told["interval"]
    return Bias(
        judge, told["name"], planted_sd, planted, told["estimate"], ends, told["unit"], told["status"],
        _in(planted, ends),
    )  # fmt: skip


def _effects(report: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return [
        e for criterion in report["criteria"] for version in criterion["versions"] for e in version["effects"]
    ]


def _in(value: float, ends: Any) -> bool | None:
    return None if ends is None else bool(ends[0] <= value <= ends[1])


def _yes(covers: bool | None) -> str:
    return "–" if covers is None else "yes" if covers else "NO"


def _covered(found: Iterable[Quality | Bias]) -> tuple[int, int]:
    told = [one.covers for one in found if one.covers is not None]
    return sum(told), len(told)


def _rmse(pairs: Iterable[tuple[float | None, float]]) -> float:
    squares = [(value - true) ** 2 for value, true in pairs if value is not None]
    return float((sum(squares) / max(len(squares), 1)) ** 0.5)
