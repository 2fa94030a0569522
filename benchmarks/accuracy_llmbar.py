"""A share on llmbar, beside GPT-4 alone; and anchors that do not stand for the traffic.

Protocol: the items whose answers differ in length (characters) and on which all six judges decided in both
orders under the Vanilla prompt; outcome: the longer answer is better; a judge's score is the mean over its
two orders; truth: the pool's human share. Each draw takes 1,000 items with replacement, every copy its own
prompt, the first n as anchors; 400 draws; 95% intervals. *GPT-4 alone*: PPI++ with the normal interval.

Second table: anchors from LLMBar/Natural only, the traffic all items; beside it anchors drawn at random. How
often the test of GET /quality objects, from panel scores, disagreement and lengths, without strata.

    python -m benchmarks.accuracy_llmbar [draws]
"""

import csv
import gzip
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.stats.factors import fit_panel_factor, score_units
from app.stats.group_quality import Basis, group_quality
from app.stats.panel_weights import weigh_panel
from app.stats.representative import block_ranks, centred_features, representativeness

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "llmbar"
COPIES = 1000


@dataclass(frozen=True)
class Pool:
    """The items of the protocol: six judges' shares for the longer answer (n, 6), the human's (n,)."""

    judges: tuple[str, ...]
    families: tuple[str, ...]
    score: np.ndarray
    human: np.ndarray
    natural: np.ndarray
    length: np.ndarray


def read() -> Pool:
    family: dict[str, str] = {}
    votes: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    length: dict[str, dict[str, int]] = {}
    with gzip.open(DATA / "grades.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            if row["judge_params"] != "Vanilla" or row["kind"] != "pairwise":
                continue
            a, b = int(row["len_a_chars"]), int(row["len_b_chars"])
            length[row["item_id"]] = {row["system_a"]: a, row["system_b"]: b}
            family[row["judge"]] = row["judge_family"]
            if a != b and row["verdict"] in {"A", "B"}:
                votes[row["item_id"]][row["judge"]][row["order"]] = float((row["verdict"] == "A") == (a > b))
    with gzip.open(DATA / "human.csv.gz", "rt") as file:
        people = {row["item_id"]: row for row in csv.DictReader(file)}
    judges = tuple(sorted(family))
    items = [i for i, given in votes.items() if all(len(given[j]) == 2 for j in judges)]
    return Pool(
        judges=judges,
        families=tuple(family[j] for j in judges),
        score=np.array([[np.mean(list(votes[i][j].values())) for j in judges] for i in items]),
        human=np.array([_longer_wins(people[i], length[i]) for i in items]),
        natural=np.array([people[i]["category"] == "LLMBar/Natural" for i in items]),
        length=np.array([sum(length[i].values()) for i in items], float),
    )


def _longer_wins(row: dict[str, str], length: dict[str, int]) -> float:
    return float((row["verdict"] == "A") == (length[row["system_a"]] > length[row["system_b"]]))


def panel_score(pool: Pool, score: np.ndarray) -> np.ndarray:
    """(n,) the calibration's own panel factor, without any human grade."""
    n, judges = score.shape
    unit, judge, value = np.repeat(np.arange(n), judges), np.tile(np.arange(judges), n), score.ravel()
    ones = np.ones(value.size, np.int64)
    factor = fit_panel_factor(
        unit=unit, judge=judge, value=value, draws=ones, within=0.0 * ones, families=pool.families
    )
    found = score_units(factor, unit=unit, judge=judge, value=value, draws=ones, units=n).score
    return factor.consensus_mean + factor.consensus_slope * found


def one_draw(pool: Pool, anchors: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Errors, coverage and widths of ours, GPT-4 alone, and labels only; whether ours gave a number."""
    rows = rng.integers(0, pool.human.size, COPIES)
    score, truth = pool.score[rows], pool.human.mean()
    human = np.full(COPIES, np.nan)
    human[:anchors] = pool.human[rows[:anchors]]
    group, prompt = np.zeros(COPIES, int), np.arange(COPIES)
    common = panel_score(pool, score)
    weights = weigh_panel(score=common, judge_values=score, human=human, group=group, prompt=prompt)
    ours = group_quality(
        group=group, prompt=prompt, prediction=weights.prediction, human=human, groups=1, panel_score=common,
        lam_max=np.inf,
    )  # fmt: skip
    y, f = human[:anchors], score[:, pool.judges.index("gpt-4-azure")]
    seen, rest = f[:anchors], f[anchors:]
    lam = max(float(np.cov(y, seen)[0, 1]) / ((1 + anchors / rest.size) * f.var(ddof=1)), 0.0)
    alone = y.mean() + lam * (rest.mean() - seen.mean())
    half = 1.96 * np.sqrt((y - lam * seen).var() / anchors + lam**2 * rest.var() / rest.size)
    low, high = float(ours.lower[0]), float(ours.upper[0])
    answered = ours.basis[0] is not Basis.NONE
    return (
        float(ours.estimate[0] - truth),
        float(low <= truth <= high) if answered else np.nan,
        high - low,
        float(alone - truth),
        float(abs(alone - truth) <= half),
        2 * half,
        float(y.mean() - truth),
        float(ours.basis[0] is Basis.ALONE),
    )


def flagged(pool: Pool, anchors: int, only_natural: bool, rng: np.random.Generator) -> float:
    """p of the test that anchors look like the traffic; the first n items are anchors."""
    allowed = np.flatnonzero(pool.natural) if only_natural else np.arange(pool.human.size)
    rows = np.concatenate([rng.choice(allowed, anchors), rng.integers(0, pool.human.size, COPIES - anchors)])
    score = pool.score[rows]
    common = panel_score(pool, score)
    block = np.zeros(COPIES, int)
    clear = block_ranks(np.abs(common - 0.5), block)
    spread = block_ranks((score - score.mean(0)).std(1), block)
    features = np.column_stack(
        [block_ranks(common, block), clear, spread, block_ranks(pool.length[rows], block), (clear - 0.5) ** 2]
    )
    test = representativeness(
        centred=centred_features(features, block),
        prompt=np.arange(COPIES),
        labelled=np.arange(COPIES) < anchors,
    )
    return 1.0 if test.p_value is None else test.p_value


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    pool = read()
    print(f"{pool.human.size} items, truth {pool.human.mean():.3f}, {draws} draws\n")
    print(
        "| anchors | ours: RMSE | coverage | width | panel used | GPT-4 alone: RMSE | coverage | width |",
        end="",
    )
    print(" labels only: RMSE |\n" + "|---" * 9 + "|")
    for anchors in (20, 50, 100, 200):
        found = np.array([one_draw(pool, anchors, np.random.default_rng([3, k])) for k in range(draws)])
        rmse, mean = np.sqrt((found**2).mean(0)), found.mean(0)
        print(
            f"| {anchors} | {rmse[0]:.4f} | {mean[1]:.3f} | {mean[2]:.3f} | {mean[7]:.2f} | {rmse[3]:.4f} "
            f"| {mean[4]:.3f} | {mean[5]:.3f} | {rmse[6]:.4f} |"
        )
    print("\n| anchors | from Natural only: p < .05 | p < .001 | at random: p < .05 | p < .001 |")
    print("|---" * 5 + "|")
    for anchors in (30, 50, 80):
        shares = []
        for only_natural in (True, False):
            p = np.array(
                [flagged(pool, anchors, only_natural, np.random.default_rng([5, k])) for k in range(draws)]
            )
            shares += [float((p < 0.05).mean()), float((p < 0.001).mean())]
        print(f"| {anchors} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")


if __name__ == "__main__":
    main()
