"""How often does a batch that ends early claim what its prompts do not say, and what does it save?

    python -m benchmarks.stopping [--worlds 2000] [--data FOLDER] [--seed 1]

Prompts come in random order and are looked at every ten, by the service's own rule (`app.batches.stopping`)
at 95%. *wrong*: the share of batches that claim a better or worse candidate where the mean over all prompts
says otherwise or nothing (or over the stream, if the claim is about that), or "equivalent" where it is not.
*saved*: prompts not graded. *wrong by t*: a t interval, looked at as often.

Simulated: differences of two answers' mean verdicts, three judges each, in fifths of the scale; at "none" the
mean over all prompts is 0 (stream: expected). Recorded: every pair of hanna's systems by one judge of each of
three families at random per answer, and llmbar's longer against shorter answers by three of its judges.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from app.batches.stopping import so_far
from app.domain.stopping import StopRule
from app.stats.betting import begin, see
from benchmarks.accuracy.__main__ import RECORDED
from benchmarks.accuracy.protocols import PROTOCOLS

Floats = NDArray[np.float64]
LEVEL, EVERY = 0.95, 10
Population = Literal["these_units", "stream"]


@dataclass(frozen=True)
class Case:
    """Differences (N,) from -1 to 1 in random order, and the mean that is claimed of."""

    values: Floats
    truth: float


def ends(case: Case, population: Population, margin: float) -> tuple[str, int]:
    """What is found, and after how many prompts."""
    n = case.values.size
    rule = StopRule("a", "b", level=LEVEL, margin=margin, population=population, prompts=n)
    sequence = begin(
        level=LEVEL, total=n if population == "these_units" else None, candidates=_candidates(margin)
    )
    for start in range(0, n, EVERY):
        sequence = see(sequence, (1.0 + case.values[start : start + EVERY]) / 2.0)
        found = so_far(rule, sequence).finding
        if found != "inconclusive":
            return found, sequence.seen
    return "inconclusive", n


def _candidates(margin: float) -> Floats:
    """All that findings hang on: just beyond no difference, and just within the margin."""
    nudge = 1e-6
    differences = [-margin + nudge, -nudge, nudge, margin - nudge]
    return np.unique([0.5 + d / 2 for d in differences])


def ends_by_t(case: Case) -> str:
    """What looking at t intervals after every chunk finds."""
    n = np.arange(2 * EVERY, case.values.size + 1, EVERY)
    mean = np.cumsum(case.values)[n - 1] / n
    square = np.cumsum(case.values**2)[n - 1] / n
    half = stdtrit(n - 1, 0.5 + LEVEL / 2) * np.sqrt(np.maximum(square - mean**2, 1e-12) / (n - 1))
    out = np.flatnonzero(np.abs(mean) > half)
    return "inconclusive" if not out.size else "better" if mean[out[0]] > 0 else "worse"


def is_wrong(found: str, truth: float, margin: float) -> bool:
    if found == "equivalent":
        return abs(truth) >= margin
    return (found == "better" and truth <= 1e-9) or (found == "worse" and truth >= -1e-9)


def simulated(n: int, effect: float, population: Population, worlds: int, seed: int) -> Iterator[Case]:
    """``effect``: the mean difference, as a share of the scale."""
    for k in range(worlds):
        rng = np.random.default_rng([seed, n, round(1000 * effect), k])
        quality = rng.normal(0.6, 0.2, n)
        means = [
            np.round(np.clip(quality[:, None] + shift + rng.normal(0, 0.2, (n, 3)), 0, 1) * 5).sum(1) / 15
            for shift in (0.0, effect)
        ]
        values = means[1] - means[0]
        if population == "stream":
            yield Case(values, effect)
            continue
        if effect == 0:  # answers change places until neither is ahead
            for i in rng.permutation(n):
                if values.sum() * values[i] > 0 and abs(values.sum() - 2 * values[i]) < abs(values.sum()):
                    values[i] = -values[i]
            rest = np.flatnonzero(np.abs(values) < 0.5)[0]
            values[rest] -= values.sum()
        yield Case(rng.permutation(values), float(values.mean()))


def recorded(folder: Path, worlds: int, seed: int) -> Iterator[Case]:
    """Draws of panels and orders; hanna: pairs of systems in turn."""
    protocol = PROTOCOLS[folder.name]
    criterion = "relevance" if folder.name == "hanna" else "instruction_following"
    data = protocol.load(folder)[criterion]
    pairs = list(combinations(range(len(data.systems)), 2))
    for k in range(worlds):
        rng = np.random.default_rng([seed, k])
        if data.pairwise:
            seats = np.argsort(rng.random(data.value.shape), axis=1)[:, :3]
            values = np.take_along_axis(data.value, seats, axis=1).mean(1)
        else:
            assert protocol.seats is not None
            raw = np.nanmean(data.seated(protocol.seats(data, rng)).value, axis=1)
            a, b = pairs[k % len(pairs)]
            by_prompt = [np.full(int(data.prompt.max()) + 1, np.nan) for _ in range(2)]
            for values_of, system in zip(by_prompt, (a, b), strict=True):
                rows = data.system == system
                values_of[data.prompt[rows]] = raw[rows]
            values = by_prompt[1] - by_prompt[0]
            values = values[np.isfinite(values)]
        yield Case(rng.permutation(values), float(values.mean()))


def line(name: str, population: Population, margin: float, cases: Iterator[Case]) -> str:
    wrong, decided, saved, by_t, sizes = [], [], [], [], []
    for case in cases:
        found, seen = ends(case, population, margin)
        wrong.append(is_wrong(found, case.truth, margin))
        decided.append(found != "inconclusive" and seen < case.values.size)
        saved.append(1 - seen / case.values.size)
        by_t.append(is_wrong(ends_by_t(case), case.truth, 0.0))
        sizes.append(case.values.size)
    cells = (
        name, str(round(float(np.mean(sizes)))), population, f"{margin:g}", f"{np.mean(wrong):.1%}",
        f"{np.mean(decided):.1%}", f"{np.mean(saved):.1%}", f"{np.mean(by_t):.1%}",
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| difference | prompts | claim about | margin | wrong | decided early | saved | wrong by t |\n"
    + "|---" * 8
    + "|"
)
CELLS: tuple[tuple[int, float, Population, float], ...] = (
    (200, 0.0, "these_units", 0.0), (1000, 0.0, "these_units", 0.0), (1000, 0.0, "stream", 0.0),
    (1000, 0.0, "these_units", 0.05), (1000, 0.02, "these_units", 0.0), (1000, 0.05, "these_units", 0.0),
    (1000, 0.1, "these_units", 0.0), (1000, 0.05, "stream", 0.0),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--data", type=Path, default=RECORDED)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(HEAD)
    for n, effect, population, margin in CELLS:
        cases = simulated(n, effect, population, options.worlds, options.seed)
        name = f"simulated, {effect:g}" if effect else "simulated, none"
        print(line(name, population, margin, cases), flush=True)
    for folder in ("hanna", "llmbar"):
        cases = recorded(options.data / folder, options.worlds, options.seed)
        print(line(folder, "these_units", 0.0, cases), flush=True)


if __name__ == "__main__":
    main()
