import json
from math import sqrt
from pathlib import Path
from random import Random

import numpy as np
import pytest

from app.cli.demonstration import world
from app.cli.demonstration.own_service import MARK
from app.cli.demonstration.planted import true_biases, true_quality
from app.domain.ids import content_id
from app.domain.items import Answer
from app.domain.rubrics import Rubric, RubricKind
from app.judges.judge import Question
from app.judges.latent_quality import latent_quality
from app.judges.planted_effects import read_effects
from app.judges.roster import simulated_roster
from tests.cli.commands import said, venire


@pytest.fixture(scope="module")
def prompts() -> tuple[world.Prompt, ...]:
    return world.write_prompts(150, seed=9)


def test_the_same_seed_makes_the_same_world(prompts):
    again = world.write_prompts(3, seed=9)
    assert again == prompts[:3]
    assert list(world.graded_answers(again, 9)) == list(world.graded_answers(prompts[:3], 9))


def test_true_quality_is_what_the_people_of_this_world_say_of_its_texts(prompts):
    truth, rng = true_quality(), Random(1)
    for criterion in world.CRITERIA:
        for code, system in enumerate(world.SYSTEMS):
            points = [
                world.on_scale(
                    latent_quality(prompt.answers[code].text, criterion.name)
                    - severity
                    + rng.gauss(0, world.PEOPLE_NOISE),
                    criterion,
                    world.POINTS_PER_SD / 4,
                )
                for prompt in prompts
                for severity in world.PEOPLE.values()
            ]
            error = np.std(points) / sqrt(
                len(prompts)
            )  # answers vary, not their grades: as if one grade each
            assert np.mean(points) == pytest.approx(truth[criterion.name][system.name], abs=4 * error)


def test_planted_severity_and_position_are_what_the_simulated_judges_do(prompts):
    roster = simulated_roster()
    judges = {
        e.config.name: (e.config.family, read_effects(e.config.param_values())[0]) for e in roster.entries
    }
    planted = true_biases(judges)
    truth = np.mean(list(true_quality()["helpfulness"].values()))
    point = Rubric("r", RubricKind.POINTWISE, "x", (world.HELPFULNESS,))
    pair = Rubric("r", RubricKind.PAIRWISE, "x", (world.HELPFULNESS,))
    for entry in roster.entries:
        judge = entry.judge
        assert judge is not None
        alone = [
            one for p in prompts for a in p.answers if (one := _says(judge, point, p, [a], (0,))) is not None
        ]
        error = np.std(alone) / sqrt(len(prompts) * 3)  # answers to one prompt go together
        assert truth - np.mean(alone) == pytest.approx(planted[entry.config.name]["severity"], abs=4 * error)
        gained = []
        for prompt in prompts:
            for both in world.pairs_of(prompt, 9):
                one, other = (_says(judge, pair, prompt, list(both), order) for order in ((0, 1), (1, 0)))
                if one is not None and other is not None:
                    gained.append((one - other) / 4)
        error = np.std(gained) / sqrt(len(gained))
        assert np.mean(gained) == pytest.approx(planted[entry.config.name]["position"], abs=4 * error)


def _says(judge, rubric, prompt, written, order) -> float | None:
    answers = tuple(Answer(one.system.name, one.text, one.system.family) for one in written)
    seed = content_id("test", prompt.item_id, str(order), *(one.system.name for one in written))
    reply = judge.reply(Question(rubric=rubric, prompt=prompt.text, answers=answers, order=order, seed=seed))
    return reply.scores[0].value if reply.scores else None


def test_the_demo_runs_through_and_most_planted_values_are_covered(tmp_path):
    folder = tmp_path / "demo"
    done = venire("demo", "--prompts", 40, "--dir", folder, "--json")
    assert done.returncode == 0, done.stderr
    found = said(done)
    assert found["simulated"] is True
    assert len(found["quality"]) == 3 * len(world.SYSTEMS)
    assert len(found["bias"]) == 6 * 5
    for counts in found["intervals_that_cover"].values():
        assert counts["of"] >= 20
        assert counts["covering"] >= 0.8 * counts["of"]  # 95% each, but those of one world go together
    assert found["rmse_points"]["corrected"] < found["rmse_points"]["raw"]


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path):
    (tmp_path / "letters.txt").write_text("dear all")
    done = venire("demo", "--dir", tmp_path)
    assert done.returncode == 1
    assert "no demo made" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_a_service_that_cannot_start_is_told_why(tmp_path: Path):
    judges = tmp_path / "judges.toml"
    judges.write_text(json.dumps("no roster"))
    done = venire("demo", "--dir", tmp_path / "demo", "--judges", judges)
    assert done.returncode == 1
    assert "did not start" in done.stderr
    assert "TOML" in done.stderr
    assert (tmp_path / "demo" / MARK).exists()
