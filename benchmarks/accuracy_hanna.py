"""System quality on hanna: RMSE, coverage and width against the full human means, beside the usual ones.

Protocol: 96 prompts x 11 systems; the task1 prompt; per answer chatgpt, mistral-7b and one of the three
Llama-family judges at random; anchors drawn uniformly from the 1,056 answers; the human value is the mean of
three votes; truth is a system's mean over all its 96 answers; 60 draws; six criteria, averaged. As truth is
that of these answers, intervals are for ``these_units``. Panel scores are the calibration's own (`factors`),
made without any human grade; the estimates are those of GET /quality. Systems that got no anchor in a draw
are left out.

    python -m benchmarks.accuracy_hanna [draws]
"""

import sys
import time

import numpy as np

from app.stats.factors import fit_panel_factor, score_units
from app.stats.group_quality import group_quality
from app.stats.panel_weights import weigh_panel
from benchmarks.hanna_items import FAMILIES, read

SYSTEMS, PROMPTS = 11, 96


def panel(data: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Panel score, reliability and raw mean (n,) of randomly seated judges, and their values (n, 5)."""
    n = len(data["system"])
    seated = np.zeros((n, 5), bool)
    seated[:, :2] = True
    seated[np.arange(n), 2 + rng.integers(0, 3, n)] = True
    seated &= np.isfinite(data["score"])
    unit, judge = np.nonzero(seated)
    value = data["score"][unit, judge]
    ones = np.ones(len(unit), np.int64)
    factor = fit_panel_factor(
        unit=unit, judge=judge, value=value, draws=ones, within=ones * 0.0, families=FAMILIES
    )
    scores = score_units(factor, unit=unit, judge=judge, value=value, draws=ones, units=n)
    count = seated.sum(1)
    raw = np.where(seated, data["score"], 0.0).sum(1) / np.maximum(count, 1)
    score = factor.consensus_mean + factor.consensus_slope * scores.score
    values = np.where(seated, data["score"], np.nan)
    return score, scores.reliability, np.where(count > 0, raw, np.nan), values


def ppi(system: np.ndarray, score: np.ndarray, human: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per-system PPI++ with the normal interval: estimates and half-widths (11,)."""
    estimate, half = np.full(SYSTEMS, np.nan), np.full(SYSTEMS, np.nan)
    for s in range(SYSTEMS):
        rows = (system == s) & np.isfinite(score)
        labelled = rows & np.isfinite(human)
        y, f, u = human[labelled], score[labelled], score[rows & ~labelled]
        if y.size == 0:
            continue
        every = np.concatenate([f, u])
        lam = 0.0
        if y.size > 1:
            lam = max(float(np.cov(y, f)[0, 1]) / ((1 + y.size / u.size) * every.var(ddof=1)), 0.0)
        estimate[s] = y.mean() + lam * (u.mean() - f.mean())
        half[s] = 1.96 * np.sqrt((y - lam * f).var() / y.size + lam**2 * u.var() / u.size)
    return estimate, half


def one_draw(data: dict[str, np.ndarray], anchors: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    system, votes = data["system"], data["votes"].mean(axis=1)
    truth = np.bincount(system, votes) / PROMPTS
    score, reliability, raw, values = panel(data, rng)
    picked = rng.choice(len(system), anchors, replace=False)
    human = np.full(len(system), np.nan)
    human[picked] = votes[picked]
    weights = weigh_panel(score=score, judge_values=values, human=human, group=system, prompt=data["prompt"])
    result = group_quality(
        group=system, prompt=data["prompt"], prediction=weights.prediction, human=human, groups=SYSTEMS,
        panel_score=score, reliability=reliability, length=data["words"], population="these_units",
        lam_max=np.inf,
    )  # fmt: skip
    theirs, half = ppi(system, score, human)
    known = np.isfinite(raw)
    raw_mean = np.bincount(system[known], raw[known]) / np.bincount(system[known])
    return {
        "raw": raw_mean - truth,
        "human": result.means.human_mean - truth,
        "ppi": theirs - truth,
        "ours": result.estimate - truth,
        "covered": np.where(
            np.isfinite(result.lower), (result.lower <= truth) & (truth <= result.upper), np.nan
        ),
        "width": result.upper - result.lower,
        "ppi_covered": np.where(np.isfinite(half), np.abs(theirs - truth) <= half, np.nan),
        "ppi_width": 2 * half,
        "slope": np.full(SYSTEMS, slope(truth, result.estimate - truth)),
    }


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Of y on x, over what is known."""
    known = np.isfinite(y)
    return float(np.polyfit(x[known], y[known], 1)[0])


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    criteria = read()
    print("| anchors | raw panel | human only | PPI++ per system | ours | coverage | worst system |", end="")
    print(" worst criterion | width | PPI++ z coverage | width | slope of error on truth |")
    print("|---" * 12 + "|")
    for anchors in (60, 120, 240):
        began = time.process_time()
        found = {
            name: [one_draw(data, anchors, np.random.default_rng([7, k])) for k in range(draws)]
            for name, data in criteria.items()
        }

        def stack(key: str, found: dict = found) -> np.ndarray:
            """(criteria, draws, systems)."""
            return np.array([[one[key] for one in rows] for rows in found.values()])

        rmse = {
            key: 4 * np.sqrt(np.nanmean(stack(key) ** 2, axis=(1, 2))).mean()
            for key in ("raw", "human", "ppi", "ours")
        }
        covered = stack("covered")
        print(
            f"| {anchors} | {rmse['raw']:.3f} | {rmse['human']:.3f} | {rmse['ppi']:.3f} | {rmse['ours']:.3f} "
            f"| {np.nanmean(covered):.3f} | {np.nanmean(covered, axis=(0, 1)).min():.3f} "
            f"| {np.nanmean(covered, axis=(1, 2)).min():.3f} | {4 * np.nanmean(stack('width')):.3f} "
            f"| {np.nanmean(stack('ppi_covered')):.3f} | {4 * np.nanmean(stack('ppi_width')):.3f} "
            f"| {stack('slope').mean():+.3f} |"
        )
        print(f"{time.process_time() - began:.0f} CPU seconds", file=sys.stderr)


if __name__ == "__main__":
    main()
