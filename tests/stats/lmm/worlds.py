"""Seeded judge-shaped data for the tests of the engine."""

from dataclasses import dataclass

import numpy as np

from app.stats.lmm import RandomTerm


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    y: np.ndarray
    X: np.ndarray
    x: np.ndarray
    item: np.ndarray
    system: np.ndarray
    judge: np.ndarray
    cell: np.ndarray
    annotator: np.ndarray
    weights: np.ndarray

    def terms(self, kind: str) -> list[RandomTerm]:
        item = RandomTerm(name="item", codes=self.item)
        system = RandomTerm(name="system", codes=self.system)
        slopes = RandomTerm(name="judge", codes=self.judge, columns=self.x, column_names=("length",))
        return {
            "item": [item],
            "crossed": [item, system],
            "slopes": [item, system, slopes],
            "independent slopes": [
                item,
                RandomTerm(name="judge", codes=self.judge, columns=self.x, correlated=False),
            ],
            "slopes only": [slopes],
            "absent rows": [item, RandomTerm(name="annotator", codes=self.annotator)],
            "nested": [
                system,
                RandomTerm(name="cell", codes=self.cell, levels=int(self.cell.max()) + 3),
                item,
            ],
            "slope without intercept": [
                item,
                RandomTerm(name="judge", codes=self.judge, columns=self.x, intercept=False),
            ],
        }[kind]


KINDS = (
    "item",
    "crossed",
    "slopes",
    "independent slopes",
    "slopes only",
    "absent rows",
    "nested",
    "slope without intercept",
)


def judged(seed: int, n: int = 240, items: int = 40, systems: int = 6, judges: int = 5) -> World:
    rng = np.random.default_rng(seed)
    item = rng.permutation(np.concatenate([np.arange(items), rng.integers(0, items, n - items)]))
    system = rng.integers(0, systems, n)
    judge = rng.integers(0, judges, n)
    cell = item * judges + judge
    x = rng.normal(1.0, 2.0, n)
    annotator = np.where(judge == 0, rng.integers(0, 4, n), -1)
    slope = rng.normal(size=(judges, 2)) * [0.4, 0.15]
    y = (
        3.0
        + 0.3 * x
        + 0.7 * rng.normal(size=items)[item]
        + 0.5 * rng.normal(size=systems)[system]
        + 0.6 * rng.normal(size=items * judges)[cell]
        + slope[judge, 0]
        + slope[judge, 1] * x
        + np.where(annotator >= 0, 0.5 * rng.normal(size=4)[annotator], 0.0)
        + 0.8 * rng.normal(size=n)
    )
    return World(
        y=y,
        X=np.column_stack([np.ones(n), x]),
        x=x,
        item=item,
        system=system,
        judge=judge,
        cell=cell,
        annotator=annotator,
        weights=rng.uniform(0.3, 3.0, n),
    )
