"""Pairwise votes as MT-Bench and arenas write them: two models, who won, who judged."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from app.anchoring.shapes.shape import Reading, Said, listed, mapped, texts_of
from app.anchoring.table import Cell
from app.domain.problems import BadInput
from app.domain.rubrics import RubricKind

_KEYS = frozenset({"model_a", "model_b", "winner"})
_KINDS = ("expert", "author", "user", "crowd", "worker", "annotator")


def is_mt_bench(first: Any) -> bool:
    """Whether a document's first object is a vote."""
    return isinstance(first, dict) and first.keys() >= _KEYS and ("judge" in first or "question_id" in first)


def read_mt_bench(votes: Any, reading: Reading) -> Iterator[Said]:
    """One preference per vote.

    The first turn of a question has the question's id, later ones ``ID-turn-N``; what was asked and answered
    up to that turn is the prompt and the answer. A judge ``expert_3`` is of the kind expert. Votes whose
    judge is a model are refused like any other row that a model gave.

    Raises
    ------
    BadInput
        If the rubric does not compare pairs.
    """
    if reading.rubric.kind is not RubricKind.PAIRWISE:
        raise BadInput("The file holds votes on pairs of answers; the rubric grades answers one by one.")
    for vote in map(mapped, listed(votes)):
        yield Said("winner", _row(vote))


def _row(vote: dict[str, Any]) -> dict[str, Cell]:
    turn = vote.get("turn")
    turn = turn if isinstance(turn, int) and turn > 1 else 1
    number = vote.get("question_id")
    judge = vote.get("judge")
    who = " ".join(map(str, judge)) if isinstance(judge, list) else None if judge is None else str(judge)
    first, second = vote.get("conversation_a"), vote.get("conversation_b")
    return {
        "item_id": None if number is None else f"{number}" if turn == 1 else f"{number}-turn-{turn}",
        "prompt": _up_to(first, "user", turn) or _up_to(second, "user", turn),
        "system_a": _name(vote.get("model_a")),
        "answer_a": _up_to(first, "assistant", turn),
        "system_b": _name(vote.get("model_b")),
        "answer_b": _up_to(second, "assistant", turn),
        "verdict": _winner(vote),
        "annotator": who,
        "annotator_type": next((kind for kind in _KINDS if who and kind in who.lower()), "annotator"),
        "graded_at": _when(vote.get("tstamp")),
        "source": "MT-Bench vote",
        "turn": turn,
    }


def _winner(vote: dict[str, Any]) -> Cell:
    winner = vote.get("winner")
    if not isinstance(winner, str):
        return None
    if winner.lower().startswith("tie"):
        return "tie"
    sides = {"model_a": "A", "model_b": "B", str(vote.get("model_a")): "A", str(vote.get("model_b")): "B"}
    return sides.get(winner, winner)


def _up_to(conversation: Any, role: str, turn: int) -> str | None:
    said = [one for one in map(mapped, listed(conversation)) if one.get("role") == role][:turn]
    return "\n\n".join(text for text in map(texts_of, said) if text) or None


def _name(value: Any) -> str | None:
    return None if value is None else str(value)


def _when(stamp: Any) -> str | None:
    if isinstance(stamp, bool) or not isinstance(stamp, int | float) or not 0 < stamp < 4e9:
        return None
    return datetime.fromtimestamp(stamp, UTC).isoformat()
