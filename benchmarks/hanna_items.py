"""Calibrated item scores on hanna against the human means, by number of anchors.

Protocol: 96 prompts x 11 systems; the task1 prompt; per answer chatgpt, mistral-7b and one of the
three Llama-family judges at random; anchors drawn uniformly from the 1,056 answers; the truth of an answer is
the mean of its three human votes; 60 draws; six criteria, averaged. Items: RMSE over the answers that are
not anchors. Systems: RMSE of the mean calibrated score (no rectifier) against the full human mean.

    python -m benchmarks.hanna_items [draws] [anchors ...]

Columns: raw, constant (mean of the anchors) and item are RMSEs of items; sys_* of systems (human: means
of the anchors alone, over systems that have any); cover_vote: share of single votes in the conformal 95%
interval (the first 10 draws); cover_mean3: of three-vote means in the t interval; s_*: variances; b_*:
coefficients.
"""

import csv
import gzip
import sys
import time
from pathlib import Path

import numpy as np

from app.stats.conformal import conformal_quantile
from app.stats.factors import fit_panel_factor, score_units
from app.stats.item_score import fit_item_model, predict_items
from app.stats.system_scores import fit_system_scores

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "hanna"
LLAMA = ("beluga-13b", "llama-13b", "orcaplatypus-13b")
JUDGES = ("chatgpt", "mistral-7b", *LLAMA)
FAMILIES = ("openai", "mistral", "meta-llama", "meta-llama", "meta-llama")


def read() -> dict[str, dict[str, np.ndarray]]:
    """Per criterion: judge scores (1056, 5), votes (1056, 3), system, prompt, words; scores 0 to 1."""
    criteria: dict[str, dict[str, np.ndarray]] = {}
    with gzip.open(DATA / "grades.csv.gz", "rt") as file:
        grades = [row for row in csv.DictReader(file) if row["judge_params"].startswith("task1")]
    with gzip.open(DATA / "human.csv.gz", "rt") as file:
        votes = list(csv.DictReader(file))
    units = sorted({(row["system"], row["item_id"]) for row in grades})
    index = {unit: k for k, unit in enumerate(units)}
    systems = sorted({s for s, _ in units})
    prompts = sorted({p for _, p in units})
    for name in sorted({row["criterion"] for row in grades}):
        criteria[name] = {
            "score": np.full((len(units), 5), np.nan),
            "votes": np.full((len(units), 3), np.nan),
            "system": np.array([systems.index(s) for s, _ in units]),
            "prompt": np.array([prompts.index(p) for _, p in units]),
            "words": np.full(len(units), np.nan),
        }
    for row in grades:
        k, c = index[row["system"], row["item_id"]], criteria[row["criterion"]]
        c["words"][k] = float(row["len_words"])
        if row["parse"] == "ok":
            c["score"][k, JUDGES.index(row["judge"])] = (float(row["score"]) - 1) / 4
    for row in votes:
        k, c = index[row["system"], row["item_id"]], criteria[row["criterion"]]
        c["votes"][k, int(row["annotator"][-1]) - 1] = (float(row["score"]) - 1) / 4
    return criteria


def one_draw(
    data: dict[str, np.ndarray],
    anchors: int,
    rng: np.random.Generator,
    *,
    cover: bool = True,
    **options: bool,
) -> dict[str, float]:
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
    system, other = data["system"], np.full(n, -1)
    panel = fit_system_scores(
        score=scores.score, reliability=scores.reliability, system=system, other_system=other, systems=11,
        signed=False, consensus_mean=factor.consensus_mean, consensus_slope=factor.consensus_slope,
    )  # fmt: skip
    human = data["votes"].mean(axis=1)
    picked = rng.choice(n, anchors, replace=False)
    picked = picked[np.isfinite(scores.score[picked])]
    noise = float(data["votes"][picked].var(axis=1, ddof=1).mean())
    columns = {
        "score": scores.score, "reliability": scores.reliability, "system": system, "other_system": other,
        "length": data["words"], "other_length": data["words"] * np.nan,
    }  # fmt: skip
    labels = {"prompt": data["prompt"], "human_mean": human, "n_human": np.full(n, 3)}

    def fit(rows: np.ndarray):
        taken = {k: v[rows] for k, v in (columns | labels).items()}
        return fit_item_model(panel=panel, annotator_variance=noise, **taken, **options)

    model = fit(picked)
    out = predict_items(model, panel, **columns)
    rest = np.setdiff1d(np.flatnonzero(np.isfinite(out.mean)), picked)
    raw = np.nanmean(np.where(seated, data["score"], np.nan), axis=1)
    truth = np.bincount(system, human) / 96
    flat = human[picked].mean()
    seen = np.isfinite(raw)
    t = 1.98 * np.sqrt(out.latent_variance[rest] + noise / 3)
    return {
        "raw": 4 * rmse(raw[rest] - human[rest]),
        "constant": 4 * rmse(flat - human[rest]),
        "item": 4 * rmse(out.mean[rest] - human[rest]),
        "sys_raw": 4 * rmse(means(raw, seen, system) - truth),
        "sys_human": 4 * rmse(human_only(human, system, picked) - truth),
        "sys_map": 4 * rmse(means(out.mean, seen & np.isfinite(out.mean), system) - truth),
        "cover_vote": vote_coverage(data, columns, fit, panel, picked, out, rest) if cover else np.nan,
        "cover_mean3": float((np.abs(out.mean[rest] - human[rest]) <= t).mean()),
        "s_a": model.fit.system_variance, "s_p": model.fit.prompt_spread, "s_q": model.fit.residual_variance,
    } | {f"b_{k}": v for k, v in zip(model.names, model.fit.coefficients, strict=False)}  # fmt: skip


def vote_coverage(data, columns, fit, panel, picked, out, rest) -> float:
    """Share of the votes on answers without anchors that the conformal 95% interval holds."""
    folds = np.unique(data["prompt"][picked], return_inverse=True)[1] % 5
    fresh = []
    for k in range(5):
        held = picked[folds == k]
        part = predict_items(fit(picked[folds != k]), panel, **{c: v[held] for c, v in columns.items()})
        fresh.append(np.abs(data["votes"][held] - part.mean[:, None]) / np.sqrt(part.grade_variance)[:, None])
    residual = np.concatenate(fresh)
    q = conformal_quantile(residual=residual.ravel(), unit=np.repeat(np.arange(len(residual)), 3), level=0.95)
    new = np.abs(data["votes"][rest] - out.mean[rest, None]) <= q * np.sqrt(out.grade_variance[rest, None])
    return float(new.mean())


def rmse(error: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(error**2)))


def means(value: np.ndarray, ok: np.ndarray, system: np.ndarray) -> np.ndarray:
    return np.bincount(system[ok], value[ok], 11) / np.bincount(system[ok], minlength=11)


def human_only(human: np.ndarray, system: np.ndarray, picked: np.ndarray) -> np.ndarray:
    count = np.bincount(system[picked], minlength=11)
    return np.where(count > 0, np.bincount(system[picked], human[picked], 11) / np.maximum(count, 1), np.nan)


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    criteria = read()
    for anchors in map(int, sys.argv[2:] or (60, 120, 240)):
        began = time.perf_counter()
        rows: dict[str, dict[str, float]] = {}
        for name, data in criteria.items():
            rng = np.random.default_rng(7)
            results = [one_draw(data, anchors, rng, cover=k < 10) for k in range(draws)]
            rows[name] = {k: float(np.nanmean([r[k] for r in results])) for k in results[0]}
        rows["mean"] = {k: float(np.mean([r[k] for r in rows.values()])) for k in next(iter(rows.values()))}
        print(f"\n{anchors} anchors, {draws} draws, {time.perf_counter() - began:.0f} s")
        keys = list(rows["mean"])
        print(f"{'criterion':12s}" + "".join(f"{k:>13s}" for k in keys))
        for name, row in rows.items():
            print(f"{name:12s}" + "".join(f"{row[k]:13.3f}" for k in keys))


if __name__ == "__main__":
    main()
