"""The panel's factor out of a stored model, and what to expect of a judge that is not in it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.stats.factors import PanelFactor


def stored_factor(model: Mapping[str, Any]) -> PanelFactor | None:
    """The panel's factor as `stats.factors` fitted it."""
    about, judges = model["panel"], model["judges"]
    if about is None:
        return None

    def column(key: str) -> Any:
        return np.array([np.nan if row[key] is None else row[key] for row in judges], float)

    used = np.array([row["used"] for row in judges], bool)
    return PanelFactor(
        mean=column("mean"), sd=column("sd"), loading=column("loading"),
        covariance=np.array(about["covariance"], float), used=used,
        reason=tuple(row["reason"] for row in judges), repeat_variance=column("repeat_variance"),
        mean_inverse_draws=column("mean_inverse_draws"), units=column("units"),
        overlaps=np.zeros((len(judges), len(judges))), consensus_mean=about["consensus_mean"],
        consensus_slope=about["consensus_slope"], mean_correlation=about["mean_correlation"],
        assumed_reliability=about["assumed_reliability"], weak=about["weak"],
        iterations=about["iterations"], converged=about["converged"],
    )  # fmt: skip


def strangers(model: Mapping[str, Any]) -> dict[str, tuple[float, float, float]] | None:
    """Per family (and "" for any): mean, loading and error variance (on q's scale) of a judge never seen."""
    rows = [row for row in model["judges"] if row.get("used") and row["loading"] > 1e-6]
    if not rows:
        return None
    means = np.array([row["mean"] for row in rows])
    apart = float(means.var(ddof=1)) if len(rows) > 1 else float(np.mean([row["sd"] for row in rows]) ** 2)
    found = {}
    for family in ("", *{row["family"] for row in rows}):
        kin = [row for row in rows if family in ("", row["family"])]
        mean, loading = (float(np.mean([row[key] for row in kin])) for key in ("mean", "loading"))
        own = float(np.mean([row["sd"] ** 2 - row["loading"] ** 2 for row in kin]))
        found[family] = (mean, loading, (max(own, 0.0) + apart) / loading**2)
    return found
