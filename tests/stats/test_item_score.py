"""The map to the human scale: planted truths come back, systems are not pulled together."""

import numpy as np
import pytest

from app.stats.item_score import ItemModel, Predictions, fit_item_model, predict_items
from app.stats.system_scores import SystemScores, fit_system_scores


class World:
    """Units with latent quality; a panel score of known reliability; human grades on a scale of their own."""

    def __init__(
        self, *, n: int = 1500, systems: int = 8, w1: float = 0.1, w2: float = 0.0, length: float = 0.0,
        spread: float = 0.5, reliability: float = 0.5, seed: int = 0,
    ) -> None:  # fmt: skip
        rng = np.random.default_rng(seed)
        self.system = rng.integers(0, systems, n)
        self.prompt = rng.integers(0, n // 5, n)
        mean = spread * np.linspace(-1.5, 1.5, systems)
        q = mean[self.system] + np.sqrt(0.7) * rng.standard_normal(n)
        self.reliability = np.full(n, reliability)
        self.score = q + np.sqrt((1 - reliability) / reliability) * rng.standard_normal(n)
        self.length = np.exp(5 + 0.5 * rng.standard_normal(n))
        scaled = (np.log1p(self.length) - np.log1p(self.length).mean()) / np.log1p(self.length).std()
        effect = 0.03 * rng.standard_normal(n // 5)
        self.truth = 0.5 + w1 * q + w2 * mean[self.system] + length * scaled + effect[self.prompt]
        self.truth = self.truth + 0.05 * rng.standard_normal(n)
        self.human = self.truth + 0.1 / np.sqrt(2) * rng.standard_normal(n)
        self.none = np.full(n, -1)
        self.systems = systems
        self.panel = fit_system_scores(
            score=self.score, reliability=self.reliability, system=self.system, other_system=self.none,
            systems=systems, signed=False, consensus_mean=0.4, consensus_slope=0.15,
        )  # fmt: skip

    def rows(self, taken: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "score": self.score[taken], "reliability": self.reliability[taken], "system": self.system[taken],
            "other_system": self.none[taken], "length": self.length[taken],
            "other_length": np.full(len(taken), np.nan),
        }  # fmt: skip

    def fit(self, taken: np.ndarray, **options: bool) -> ItemModel:
        return fit_item_model(
            panel=self.panel, **self.rows(taken), prompt=self.prompt[taken], human_mean=self.human[taken],
            n_human=np.full(len(taken), 2), annotator_variance=0.01, **options,
        )  # fmt: skip

    def predict(self, model: ItemModel, taken: np.ndarray | None = None) -> Predictions:
        return predict_items(
            model, self.panel, **self.rows(np.arange(len(self.score)) if taken is None else taken)
        )


def coefficients(model: ItemModel) -> dict[str, float]:
    return dict(zip(model.names, model.fit.coefficients, strict=False))


def test_planted_coefficients_are_recovered() -> None:
    world = World(w1=0.12, w2=0.06, length=0.04)
    model = world.fit(np.arange(1500), pull_to_identity=False)
    found = coefficients(model)
    se = dict(zip(model.names, model.unpulled_se, strict=True))
    for name, truth in {"panel": 0.12 / 0.15, "between_systems": 0.06 / 0.15, "length": 0.04}.items():
        assert found[name] == pytest.approx(truth, abs=3.5 * se[name] + 0.02), name


def test_calibrated_system_means_are_not_pulled_together() -> None:
    """A pooled regression on noisy scores loses a part of the systems' spread; this loses none."""
    slopes, pooled = [], []
    for seed in range(12):
        world = World(seed=seed)
        rng = np.random.default_rng(seed)
        taken = rng.choice(1500, 200, replace=False)
        mean = world.predict(world.fit(taken)).mean
        line = np.polyval(np.polyfit(world.score[taken], world.human[taken], 1), world.score)
        truth, ours, theirs = (
            np.bincount(world.system, v) / np.bincount(world.system) for v in (world.truth, mean, line)
        )
        slopes.append(np.polyfit(truth, ours - truth, 1)[0])
        pooled.append(np.polyfit(truth, theirs - truth, 1)[0])
    assert np.mean(slopes) == pytest.approx(0.0, abs=0.05)
    assert np.mean(pooled) < -0.2


def test_a_panel_that_is_right_as_it_stands_is_left_alone_at_few_anchors() -> None:
    errors, free = [], []
    for seed in range(15):
        world = World(w1=0.15, spread=0.7, reliability=0.8, seed=seed)
        world.human += world.panel.consensus_mean - 0.5  # people use the judges' own scale
        taken = np.random.default_rng(seed).choice(1500, 40, replace=False)
        pulled, loose = world.fit(taken), world.fit(taken, pull_to_identity=False)
        truth = world.truth + world.panel.consensus_mean - 0.5
        errors.append(np.mean((world.predict(pulled).mean - truth) ** 2))
        free.append(np.mean((world.predict(loose).mean - truth) ** 2))
        assert abs(coefficients(pulled)["panel"] - 1) < abs(coefficients(loose)["panel"] - 1) + 0.02
    assert np.mean(errors) < np.mean(free)


def test_latent_intervals_cover_the_mean_human_grade() -> None:
    hits = []
    for seed in range(12):
        world = World(seed=seed)
        taken = np.random.default_rng(seed).choice(1500, 80, replace=False)
        out = world.predict(model := world.fit(taken))
        rest = np.setdiff1d(np.arange(1500), taken)
        quantile = 1.96 + 2.4 / model.freedom  # t's, to first order
        hits.append(
            np.mean(np.abs(out.mean - world.truth)[rest] <= quantile * np.sqrt(out.latent_variance[rest]))
        )
    assert 0.93 <= np.mean(hits) <= 0.985


def test_fewer_judges_give_a_wider_interval() -> None:
    world = World()
    model = world.fit(np.arange(300))
    two = np.array([0, 0])
    out = predict_items(
        model, world.panel, score=np.array([0.3, 0.3]), reliability=np.array([0.2, 0.8]), system=two,
        other_system=two - 1, length=np.array([100.0, 100.0]), other_length=np.full(2, np.nan),
    )  # fmt: skip
    assert out.latent_variance[0] > out.latent_variance[1]


def test_an_unseen_system_is_less_certain_than_an_anchored_one() -> None:
    world = World()
    model = world.fit(np.arange(300))
    out = predict_items(
        model, world.panel, score=np.full(2, 0.3), reliability=np.full(2, 0.5), system=np.array([0, -1]),
        other_system=np.full(2, -1), length=np.full(2, 100.0), other_length=np.full(2, np.nan),
    )  # fmt: skip
    assert out.latent_variance[1] > out.latent_variance[0]


def test_four_anchored_systems_are_too_few_to_measure_between_systems() -> None:
    world = World(systems=4)
    assert "between_systems" not in world.fit(np.arange(200)).names


def test_length_needs_to_be_known_to_vary_and_thirty_anchors() -> None:
    world = World()
    assert "length" in world.fit(np.arange(60)).names
    assert "length" not in world.fit(np.arange(25)).names
    world.length = np.full(1500, 80.0)
    assert "length" not in world.fit(np.arange(60)).names
    world.length = np.full(1500, np.nan)
    assert "length" not in world.fit(np.arange(60)).names


def test_scores_outside_the_anchored_range_are_marked() -> None:
    world = World()
    taken = np.flatnonzero(np.abs(world.score) < 0.5)[:100]
    out = world.predict(world.fit(taken))
    assert not out.extrapolates[taken].any()
    assert out.extrapolates[np.argmax(world.score)]


def test_the_order_of_anchors_does_not_matter() -> None:
    world, rng = World(), np.random.default_rng(0)
    one = world.predict(world.fit(np.arange(150)))
    other = world.predict(world.fit(rng.permutation(150)))
    np.testing.assert_allclose(other.mean, one.mean, atol=1e-4)  # the optimiser's tolerance


def test_swapping_every_pair_changes_only_the_sign() -> None:
    rng = np.random.default_rng(4)
    n, strength = 400, np.linspace(-0.5, 0.5, 6)
    a = rng.integers(0, 6, n)
    b = (a + rng.integers(1, 6, n)) % 6
    q = strength[a] - strength[b] + 0.8 * rng.standard_normal(n)
    score = q + 0.8 * rng.standard_normal(n)
    human = 0.4 * q + 0.3 * rng.standard_normal(n)
    words, others = np.exp(rng.normal(5, 0.5, (2, n)))

    def run(
        sign: float, first: np.ndarray, second: np.ndarray, mine: np.ndarray, theirs: np.ndarray
    ) -> np.ndarray:
        panel: SystemScores = fit_system_scores(
            score=sign * score, reliability=np.full(n, 0.6), system=first, other_system=second, systems=6,
            signed=True, consensus_mean=0.0, consensus_slope=0.4,
        )  # fmt: skip
        rows = {
            "score": sign * score, "reliability": np.full(n, 0.6), "system": first, "other_system": second,
            "length": mine, "other_length": theirs,
        }  # fmt: skip
        model = fit_item_model(
            panel=panel, **rows, prompt=np.arange(n), human_mean=sign * human, n_human=np.ones(n, int),
            annotator_variance=np.nan,
        )  # fmt: skip
        return predict_items(model, panel, **rows).mean

    np.testing.assert_allclose(run(-1, b, a, others, words), -run(1, a, b, words, others), atol=1e-4)
