from app.calibration.lineage import predecessors
from app.domain.judging import JudgeVersion


def version(name, model="m", params="{}", prompt="p1"):
    return JudgeVersion("f", name, model, params, prompt)


def before(*judges, seen=None):
    return predecessors(judges, seen or range(len(judges)))


def test_snapshots_of_one_judge_follow_each_other_whatever_came_in_first():
    judges = (version("gpt-x-0613"), version("gpt-x-0301"), version("gpt-x-1106-preview"))
    assert before(*judges) == (1, None, 0)


def test_versions_of_one_name_follow_in_the_order_in_which_they_were_seen():
    assert before(version("a", "m2"), version("a", "m1"), seen=(9, 3)) == (1, None)


def test_a_version_is_compared_with_one_of_the_same_settings_if_there_is_one():
    judges = (
        version("gpt-0301", params='{"setting":"a"}'),
        version("gpt-0301", params='{"setting":"b"}'),
        version("gpt-0613", params='{"setting":"a"}'),
        version("gpt-0613", params='{"setting":"c"}'),
    )
    # c is new in both: it is compared with the latest of its own name
    assert before(*judges) == (None, 0, 0, 2)


def test_other_judges_are_no_predecessors():
    judges = [version(name) for name in ("gpt-4", "gpt-4o", "claude-20250101", "llama-2-70b")]
    assert before(*judges) == (None, None, None, None)
