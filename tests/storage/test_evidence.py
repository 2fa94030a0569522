from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from app.domain.anchors import Pairing
from app.domain.items import Answer, Item
from app.domain.judging import Reply, Seat, SecondStage, Unscored, UnscoredReason
from app.domain.projects import Project
from app.domain.rubrics import RubricKind, Scale
from app.storage.assignments import record_second
from app.storage.database import Database
from app.storage.evidence import load_evidence
from app.storage.grades import load_grade
from app.storage.verdicts import record_replies
from tests.storage.samples import (
    anchored,
    graded,
    human,
    imported,
    judge,
    one_answer,
    recorded,
    reply,
    rubric_in,
    rubric_of,
    seats_of,
)


async def test_pointwise_verdicts_people_lengths_and_strata_meet_on_one_unit(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    item = Item("Why?", (Answer("bot", "one two three", "fam"),), item_id="i1", strata={"language": "de"})
    await graded(db, project.id, rubric, item, seats_of(judge()), [reply(4.0, expected=3.5)], now)
    await anchored(db, project.id, rubric, [human(Pairing("i1", "bot"), 2.0)], now)
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert evidence.kind is RubricKind.POINTWISE
    assert evidence.unit_id.tolist() == evidence.answer_id.tolist()
    assert evidence.other_answer_id.tolist() == [-1]
    assert evidence.length.tolist() == [3.0]
    assert (evidence.systems, evidence.system_families) == (("bot",), ("fam",))
    assert evidence.strata["language"].tolist() == [0]
    assert evidence.stratum_values == {"language": ("de",)}
    assert (evidence.v_value.tolist(), evidence.v_expected.tolist()) == ([4.0], [3.5])
    assert evidence.v_inclusion.tolist() == [0.5]
    assert evidence.judges == (judge(),)
    assert (evidence.h_value.tolist(), evidence.h_unit.tolist()) == ([2.0], [0])
    assert (evidence.annotators, evidence.annotator_types) == (("ann",), ("expert",))
    assert evidence.anchor_versions == (("anchors", 1),)
    assert evidence.rubric_versions == (1,)


async def test_the_layout_of_graded_answers_is_counted_from_their_texts(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    for name in ("graded", "only judged"):
        answer = Answer("bot", f"# {name}\n\n- one\n- two **bold**", model="gpt-x")
        item = Item(f"Why {name}?", (answer,), item_id=name)
        await graded(db, project.id, rubric, item, seats_of(judge()), [reply(4.0)], now)
    await anchored(db, project.id, rubric, [human(Pairing("graded", "bot"), 2.0)], now)
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert evidence.marks[evidence.h_unit].tolist() == [4.0]
    assert np.isnan(np.delete(evidence.marks, evidence.h_unit)).all()
    assert np.isnan(evidence.other_marks).all()
    assert evidence.system_models == ("gpt-x",)


@pytest.mark.parametrize("turned", [False, True])
async def test_a_pair_has_one_orientation_however_it_was_given(
    db: Database, project: Project, now: datetime, turned: bool
):
    rubric = await rubric_in(db, project.id, now, rubric_of(RubricKind.PAIRWISE))
    answers = (Answer("alpha", "text a"), Answer("beta", "text b"))
    item = Item("Why?", answers[::-1] if turned else answers, item_id="i1")
    # alpha wins in the caller's order, shown once in each order
    won = -1.0 if turned else 1.0
    assignment = seats_of(judge("j1"), judge("j2"), orders=((0, 1), (1, 0)))
    await graded(db, project.id, rubric, item, assignment, [reply(won), reply(won)], now)
    about = Pairing("i1", "beta", "alpha") if turned else Pairing("i1", "alpha", "beta")
    await anchored(db, project.id, rubric, [human(about, won)], now)
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert len(evidence.unit_id) == 1
    assert evidence.systems[evidence.system[0]] == "alpha"
    assert evidence.systems[evidence.other_system[0]] == "beta"
    assert evidence.v_value.tolist() == [1.0, 1.0]
    assert evidence.v_place.tolist() == ([1, 0] if turned else [0, 1])
    assert evidence.h_value.tolist() == [1.0]
    assert (evidence.length.tolist(), evidence.other_length.tolist()) == ([2.0], [2.0])


async def test_imported_pairs_are_turned_and_placed_like_graded_ones(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of(RubricKind.PAIRWISE))
    verdicts = [
        recorded(Pairing("i1", "alpha", "beta"), 1.0, order=1),  # alpha shown first, wins
        recorded(Pairing("i1", "beta", "alpha"), 1.0, order=2),  # beta shown first, wins
        recorded(Pairing("i1", "alpha", "beta"), 0.0, order=0),  # both orders merged to a tie
    ]
    await imported(db, project.id, rubric, verdicts, now)
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert evidence.v_value.tolist() == [1.0, -1.0, 0.0]
    assert evidence.v_place.tolist() == [0, 1, -1]
    assert np.isnan(evidence.v_inclusion).all()


async def test_answers_of_one_system_are_ordered_by_what_their_texts_turn_out_to_be(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of(RubricKind.PAIRWISE))
    pair = Pairing("i1", "bot", "bot", answer="first text", other_answer="second text")
    back = Pairing("i1", "bot", "bot", answer="second text", other_answer="first text")
    await imported(db, project.id, rubric, [recorded(pair, 1.0), recorded(back, -1.0)], now)
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert len(evidence.unit_id) == 1
    assert abs(evidence.v_value.sum()) == 2.0
    assert evidence.v_place.tolist() in ([0, 1], [1, 0])


async def test_each_answer_of_a_list_is_a_unit_with_the_place_it_was_shown_in(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of(RubricKind.LISTWISE))
    item = Item("Why?", tuple(Answer(name, f"text of {name}") for name in ("c", "a", "b")), item_id="i1")
    assignment = seats_of(judge(), orders=((2, 0, 1),))
    await graded(db, project.id, rubric, item, assignment, [reply(1.0, 2.0, 3.0)], now)
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    said = {
        evidence.systems[evidence.system[unit]]: (value, place)
        for unit, value, place in zip(
            evidence.v_unit, evidence.v_value.tolist(), evidence.v_place.tolist(), strict=True
        )
    }
    assert said == {"c": (1.0, 1), "a": (2.0, 2), "b": (3.0, 0)}


async def test_a_seat_that_said_nothing_is_a_row_with_its_reason(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    failed = Reply(unscored=Unscored(UnscoredReason.REFUSAL, "I would rather not"))
    await graded(
        db, project.id, rubric, one_answer(), seats_of(judge("j1"), judge("j2")), [reply(3.0), failed], now
    )
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert evidence.v_unscored.tolist() == [-1, list(UnscoredReason).index(UnscoredReason.REFUSAL)]
    assert np.isnan(evidence.v_value).tolist() == [False, True]


async def test_a_criterion_the_judge_left_out_is_unscored_and_the_others_stand(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of(criteria=("quality", "style")))
    await graded(db, project.id, rubric, one_answer(), seats_of(judge()), [reply(3.0)], now)
    style = await load_evidence(db, project.id, rubric.rubric.name, "style")
    assert style.v_unscored.tolist() == [list(UnscoredReason).index(UnscoredReason.UNPARSABLE)]
    quality = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert quality.v_value.tolist() == [3.0]


async def test_an_answer_without_text_is_the_only_one_of_its_system(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    grade = await graded(db, project.id, rubric, one_answer("i1"), seats_of(judge()), [reply(3.0)], now)
    await imported(db, project.id, rubric, [recorded(Pairing("i1", "bot"), 4.0, by="other")], now)
    await anchored(db, project.id, rubric, [human(Pairing("i1", "bot"), 2.0)], now)
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert evidence.answer_id.tolist() == [grade.answers[0].id]
    assert sorted(evidence.v_value.tolist()) == [3.0, 4.0]
    assert evidence.ambiguous == 0


async def test_an_answer_without_text_stays_its_own_unit_where_it_could_be_two(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    for text in ("one text", "another text"):
        await graded(
            db, project.id, rubric, one_answer("i1", text=text), seats_of(judge()), [reply(3.0)], now
        )
    await anchored(db, project.id, rubric, [human(Pairing("i1", "bot"), 2.0)], now)
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert len(evidence.unit_id) == 3
    assert evidence.ambiguous == 1


async def test_an_answer_whose_text_nobody_gave_keeps_the_length_it_came_with(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    await anchored(db, project.id, rubric, [human(Pairing("i1", "bot"), 2.0)], now)
    await imported(db, project.id, rubric, [recorded(Pairing("i1", "bot", len_words=17), 4.0)], now)
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert evidence.length.tolist() == [17.0]


async def test_items_of_one_prompt_share_its_cluster_and_others_do_not(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    for item_id, prompt in (("i1", "same"), ("i2", "same"), ("i3", "other")):
        item = one_answer(item_id, prompt=prompt)
        await graded(db, project.id, rubric, item, seats_of(judge()), [reply(3.0)], now)
    await imported(db, project.id, rubric, [recorded(Pairing("i4", "bot"), 4.0)], now)
    evidence = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert len(set(evidence.item.tolist())) == 4
    assert len(set(evidence.prompt.tolist())) == 3


async def test_simulated_verdicts_are_left_out_where_there_are_real_ones(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    name = rubric.rubric.name
    toy = judge("toy", simulated=True)
    await graded(db, project.id, rubric, one_answer("i1"), seats_of(toy), [reply(1.0)], now)
    alone = await load_evidence(db, project.id, name, "quality")
    assert (alone.simulated, alone.left_out, alone.v_value.tolist()) == (True, False, [1.0])
    await graded(db, project.id, rubric, one_answer("i2"), seats_of(judge()), [reply(4.0)], now)
    real = await load_evidence(db, project.id, name, "quality")
    assert (real.simulated, real.left_out, real.v_value.tolist()) == (False, True, [4.0])
    asked = await load_evidence(db, project.id, name, "quality", simulated=True)
    assert (asked.simulated, asked.v_value.tolist()) == (True, [1.0])


async def test_what_came_after_a_snapshot_is_exactly_what_it_did_not_have(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    name = rubric.rubric.name
    await graded(db, project.id, rubric, one_answer("i1"), seats_of(judge()), [reply(1.0)], now)
    first = await load_evidence(db, project.id, name, "quality")
    await graded(db, project.id, rubric, one_answer("i2"), seats_of(judge()), [reply(2.0)], now)
    await imported(db, project.id, rubric, [recorded(Pairing("i3", "bot"), 3.0)], now)
    await anchored(
        db,
        project.id,
        rubric,
        [human(Pairing("i1", "bot"), 5.0), human(Pairing("i3", "bot"), 4.0)],
        now,
    )
    later = await load_evidence(db, project.id, name, "quality", after_verdict=first.newest_verdict)
    assert later.v_value.tolist() == [2.0, 3.0]
    assert later.h_value.tolist() == [4.0]
    nothing = await load_evidence(db, project.id, name, "quality", after_verdict=later.newest_verdict)
    assert (len(nothing.unit_id), len(nothing.v_value), len(nothing.h_value)) == (0, 0, 0)


async def test_verdicts_of_another_scale_or_direction_are_not_pooled(
    db: Database, project: Project, now: datetime
):
    old = await rubric_in(db, project.id, now, rubric_of())
    await graded(db, project.id, old, one_answer(), seats_of(judge()), [reply(5.0)], now)
    reworded = await rubric_in(db, project.id, now, rubric_of(instructions="Judge well."))
    await graded(db, project.id, reworded, one_answer(), seats_of(judge()), [reply(4.0)], now)
    pooled = await load_evidence(db, project.id, old.rubric.name, "quality")
    assert pooled.v_rubric_version.tolist() == [1, 2]
    await rubric_in(db, project.id, now, rubric_of(scale=Scale(0, 10)))
    fresh = await load_evidence(db, project.id, old.rubric.name, "quality")
    assert len(fresh.v_value) == 0
    assert fresh.criterion.scale == Scale(0, 10)


async def test_a_person_in_two_anchor_sets_is_heard_once(db: Database, project: Project, now: datetime):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    about = Pairing("i1", "bot")
    await anchored(db, project.id, rubric, [human(about, 1.0)], now, name="old")
    later = now.replace(hour=13)
    await anchored(
        db, project.id, rubric, [human(about, 2.0), human(about, 5.0, annotator="ben")], later, name="new"
    )
    both = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert sorted(both.h_value.tolist()) == [2.0, 5.0]
    old = await load_evidence(db, project.id, rubric.rubric.name, "quality", anchor_sets=["old"])
    assert old.h_value.tolist() == [1.0]
    assert old.anchor_versions == (("old", 1),)


async def test_the_same_data_has_the_same_hash_and_new_data_another(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    name = rubric.rubric.name
    await graded(db, project.id, rubric, one_answer("i1"), seats_of(judge()), [reply(1.0)], now)
    first = await load_evidence(db, project.id, name, "quality")
    again = await load_evidence(db, project.id, name, "quality")
    await graded(db, project.id, rubric, one_answer("i2"), seats_of(judge()), [reply(1.0)], now)
    more = await load_evidence(db, project.id, name, "quality")
    assert first.sha256 == again.sha256 != more.sha256


async def test_evidence_asked_for_by_a_wrong_name_says_which(db: Database, project: Project, now: datetime):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    with pytest.raises(KeyError, match="no rubric 'nonsense'"):
        await load_evidence(db, project.id, "nonsense", "quality")
    with pytest.raises(KeyError, match="no criterion 'nonsense'"):
        await load_evidence(db, project.id, rubric.rubric.name, "nonsense")
    with pytest.raises(KeyError, match="no anchor set"):
        await load_evidence(db, project.id, rubric.rubric.name, "quality", anchor_sets=["nonsense"])


async def test_second_stages_and_their_chances_come_with_the_verdicts_of_their_panels(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    await graded(db, project.id, rubric, one_answer("plain"), seats_of(judge("j1")), [reply(2.0)], now)
    plain = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert plain.v_chance.size == 0
    first = seats_of(judge("j1"), judge("j2", "f2"))
    panel = await graded(db, project.id, rubric, one_answer("i2"), first, [reply(1.0), reply(4.0)], now)
    later = Seat(2, judge("j3", "f3"), (0,), 0.2)
    second = SecondStage(0.4, True, 0.3, 0.75, 1, 2)
    drawn = replace(first, seats=(*first.seats, later), second=second)
    await record_second(db, panel, drawn, now=now)
    await record_replies(db, panel, [(later, reply(3.0))], now=now)
    stored = await load_grade(db, project.id, panel.id)
    assert stored is not None
    assert stored.assignment == drawn
    await imported(db, project.id, rubric, [recorded(Pairing("i2", "bot"), 5.0)], now)
    found = await load_evidence(db, project.id, rubric.rubric.name, "quality")
    assert found.v_value.tolist() == [2.0, 1.0, 4.0, 3.0, 5.0]
    assert found.v_second.tolist() == [False, False, False, True, False]
    assert found.v_grade[1:].tolist() == [panel.id] * 3 + [-1]
    assert np.isnan(found.v_chance[[0, 4]]).all()
    assert found.v_chance[1:4].tolist() == [0.4] * 3
    assert found.sha256 != plain.sha256
