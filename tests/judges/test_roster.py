import json

import pytest

from app.domain.problems import BadInput
from app.judges.config import JudgeConfig
from app.judges.roster import SIMULATED_EFFECTS, build_roster, open_roster, simulated_roster
from tests.judges.questions import question_of, rubric_of


def simulated(name, family="f", **changes):
    return JudgeConfig(name, family, "simulated", name, **changes)


def test_the_built_in_roster_has_two_simulated_judges_in_each_of_three_families():
    roster = simulated_roster(5)
    assert {family: len(judges) for family, judges in roster.by_family().items()} == {
        "alder": 2,
        "birch": 2,
        "cedar": 2,
    }
    assert roster.simulated
    assert all(version.simulated for version in roster.versions())
    assert "simulated judges answer" in roster.warnings[0]


def test_the_built_in_judges_carry_the_effects_that_are_published():
    for family, judges in SIMULATED_EFFECTS.items():
        for name, effects in judges.items():
            judge = simulated_roster(5).judge(name)
            assert judge.version.family == family
            params = json.loads(judge.version.params)
            assert params["seed"] == 5
            assert params.get("position", 0.0) == effects.position
            assert params.get("severity", 0.0) == effects.severity


def test_another_seed_makes_other_judges():
    assert set(simulated_roster(1).versions()).isdisjoint(simulated_roster(2).versions())


async def test_the_built_in_judges_answer():
    roster = simulated_roster()
    for judge in roster.judges():
        reply = await judge.judge(question_of(rubric_of(), "An answer."), deadline=1e12)
        assert bool(reply.scores) != bool(reply.unscored)
    await roster.close()


def test_a_judge_that_is_not_enabled_is_listed_but_may_not_be_drawn():
    roster = build_roster([simulated("a"), simulated("b", enabled=False)])
    assert [entry.config.name for entry in roster.entries] == ["a", "b"]
    assert [judge.version.name for judge in roster.judges()] == ["a"]
    with pytest.raises(KeyError, match="it has \\['a'\\]"):
        roster.judge("b")


def test_simulated_and_other_judges_never_share_a_roster():
    real = JudgeConfig("r", "f", "openai-compatible", "m", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(BadInput) as raised:
        build_roster([simulated("a"), real])
    assert "may not stand on a roster with others" in raised.value.problems[0].problem


def test_every_mistake_of_the_file_and_of_its_parameters_is_reported_at_once(tmp_path):
    path = tmp_path / "judges.toml"
    path.write_text(
        '[[judges]]\nname = "a"\nfamily = "f"\nprovider = "simulated"\n'
        "params = { severety = 1, noise = -1 }\n"
        '[[judges]]\nname = "b"\nfamily = "f"\nprovider = "simulated"\ntimeout = 3\n'
        '[[judges]]\nname = "c"\nfamily = "f"\nprovider = "recorded"\nparams = { file = "gone.csv" }\n'
    )
    with pytest.raises(BadInput) as raised:
        open_roster(path, {})
    assert {problem.path for problem in raised.value.problems} == {
        "judges[1].timeout",
        "judges",
        "judges.a.params.severety",
        "judges.a.params.noise",
        "judges.c.params.file",
    }


def test_a_roster_file_becomes_judges_and_finds_recorded_verdicts_beside_it(tmp_path):
    (tmp_path / "old.csv").write_text("item_id,system,criterion,judge,score\ni,x,c,old,3\n")
    path = tmp_path / "judges.toml"
    path.write_text(
        '[[judges]]\nname = "old"\nfamily = "f"\nprovider = "recorded"\nparams = { file = "old.csv" }\n'
    )
    roster = open_roster(path, {})
    assert not roster.simulated
    assert roster.judge("old").version.model == "old"
    assert "only one family" in roster.warnings[0]
