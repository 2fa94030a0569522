"""All that a judge's page shows, as files."""

from app.reporting.bias_report import CriterionBias, JudgeVersionBias
from app.reporting.judge_details import JudgeDetails, VersionDetails
from app.reporting.roster_report import JudgeReport
from app.web.pages.effects import EFFECT_COLUMNS, effect_row
from app.web.pages.tables import Cell, DataTable


def tables_of(
    told: CriterionBias | None,
    shown: JudgeVersionBias | None,
    details: JudgeDetails | None,
    judge: JudgeReport,
) -> tuple[DataTable, ...]:
    """Every table of the page; ``shown`` is the version that it is about."""
    found = [_versions_table(judge)]
    if told is None or shown is None:
        return tuple(found)
    found.append(
        DataTable("biases", EFFECT_COLUMNS, [effect_row(one) for one in (*shown.effects, *shown.checks)])
    )
    found.append(
        DataTable(
            "compared",
            ("version", *EFFECT_COLUMNS),
            [(one.judge_version, *effect_row(effect)) for one in told.versions for effect in one.effects],
        )
    )
    groups = {"system": shown.systems, **shown.strata}
    found += [
        DataTable(f"groups-{name}", EFFECT_COLUMNS, [effect_row(row) for row in rows])
        for name, rows in groups.items()
    ]
    more = details_of(details, shown)
    if more is not None:
        found += _detail_tables(more)
    return tuple(found)


def _detail_tables(more: VersionDetails) -> list[DataTable]:
    bins = ("low", "high", "score", "people", "people_low", "people_high", "n", "status")
    found = [
        DataTable(
            name, bins,
            [
                (one.low, one.high, one.score, one.people, *(one.interval or (None, None)), one.n, one.status)
                for one in diagram.bins
            ],
        )
        for name, diagram in (("reliability", more.calibrated), ("as-given", more.as_given))
    ]  # fmt: skip
    found += [
        DataTable(
            f"residuals-{by}", EFFECT_COLUMNS,
            [effect_row(one.effect, one.group) for one in more.residuals if one.by == by],
        )
        for by in dict.fromkeys(one.by for one in more.residuals)
    ]  # fmt: skip
    columns = (
        *("effect", "answer_id", "other_answer_id", "item", "system", "other_system", "judge", "people"),
        *("grades", "words", "other_words", "sentence"),
    )
    examples = [tuple(getattr(one, name) for name in columns) for one in more.examples]
    return [*found, DataTable("examples", columns, examples)]


def _versions_table(judge: JudgeReport) -> DataTable:
    columns = (
        *("version", "model", "params", "prompt_version", "sits_now", "first_seen_at", "verdicts"),
        *("unscored_verdicts", "calls_24h", "latency_p50_ms", "cost_usd_24h"),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            one.judge.digest(), one.judge.model, one.judge.params, one.judge.prompt_version,
            one.judge == judge.current, one.first_seen_at.isoformat(), one.verdicts, one.unscored_verdicts,
            one.calls, one.latency_p50_ms, one.cost_usd,
        )
        for one in judge.health
    ]  # fmt: skip
    return DataTable("versions", columns, rows)


def details_of(details: JudgeDetails | None, shown: JudgeVersionBias | None) -> VersionDetails | None:
    """Those of the version that is shown, if its calibration has any."""
    if details is None or shown is None:
        return None
    return next((one for one in details.versions if one.judge_version == shown.judge_version), None)
