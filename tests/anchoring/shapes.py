"""Small files as other tools write them; every one of them made up here."""

import io
import json
from typing import Any


def file(document: Any) -> io.BytesIO:
    return io.BytesIO(json.dumps(document).encode())


def lines(objects: list[Any]) -> io.BytesIO:
    return io.BytesIO("".join(json.dumps(one) + "\n" for one in objects).encode())


def label_studio() -> list[dict[str, Any]]:
    """Two tasks; two people graded the first, one skipped the second, which a model had labelled."""

    def rating(name: str, value: int, **more: Any) -> dict[str, Any]:
        return {
            "id": f"r-{name}-{value}", "type": "rating", "from_name": name, "to_name": "answer",
            "value": {"rating": value}, "origin": "manual", **more,
        }  # fmt: skip

    def annotation(who: Any, *results: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {
            "id": 1, "completed_by": who, "result": list(results), "was_cancelled": False,
            "created_at": "2026-11-02T09:30:00.000000Z", "lead_time": 8.4, "ground_truth": False, **more,
        }  # fmt: skip

    note = {"type": "textarea", "from_name": "why", "to_name": "answer", "value": {"text": ["Clear."]}}
    return [
        {
            "id": 501,
            "data": {"id": "q1", "question": "Which plug?", "response": "Type F.", "model": "bot-1"},
            "annotations": [
                annotation(
                    {"id": 7, "email": "kim@example.org"}, rating("helpful", 4), rating("tone", 5), note
                ),
                annotation(8, rating("helpful", 3)),
            ],
            "predictions": [],
        },
        {
            "id": 502,
            "data": {"id": "q2", "question": "Which fuse?", "response": "Ten amperes.", "model": "bot-2"},
            "annotations": [
                annotation(8, was_cancelled=True),
                annotation({"id": 7, "email": "kim@example.org"}, rating("helpful", 2)),
            ],
            "predictions": [{"model_version": "draft-3", "result": [rating("helpful", 5)]}],
        },
    ]


def argilla() -> list[dict[str, Any]]:
    """Two records with submitted, drafted and suggested answers."""
    return [
        {
            "id": "rec-1",
            "status": "completed",
            "fields": {"question": "Which plug?", "response": "Type F."},
            "metadata": {"model": "bot-1", "item_id": "q1"},
            "suggestions": {"helpful": {"value": 5, "score": 0.7, "agent": "draft-3"}},
            "responses": {
                "helpful": [
                    {"value": 4, "user_id": "0f5c", "status": "submitted"},
                    {"value": 2, "user_id": "77aa", "status": "draft"},
                ],
                "why": [{"value": "Clear.", "user_id": "0f5c", "status": "submitted"}],
            },
            "vectors": {},
            "_server_id": "9d",
        },
        {
            "id": "rec-2",
            "status": "completed",
            "fields": {"question": "Which fuse?", "response": "Ten amperes."},
            "metadata": {"model": "bot-2", "item_id": "q2"},
            "suggestions": {},
            "responses": {"helpful": [{"value": 3, "user_id": "77aa"}]},
        },
    ]


def argilla_by_user() -> list[dict[str, Any]]:
    """The same first grade, as the server lists responses: one object per person."""
    return [
        {
            "id": "rec-1",
            "external_id": "q1",
            "fields": {"question": "Which plug?", "response": "Type F.", "model": "bot-1"},
            "responses": [
                {"values": {"helpful": {"value": 4}}, "status": "submitted", "user_id": "0f5c"},
                {"values": {"helpful": {"value": 1}}, "status": "discarded", "user_id": "77aa"},
            ],
            "suggestions": [],
        }
    ]


def argilla_flat() -> list[dict[str, Any]]:
    """And as one column per part."""
    return [
        {
            "id": "q1", "status": "completed", "_server_id": "9d",
            "question": "Which plug?", "response": "Type F.", "metadata.model": "bot-1",
            "helpful.responses": [4, 2], "helpful.responses.users": ["0f5c", "77aa"],
            "helpful.responses.status": ["submitted", "draft"],
            "helpful.suggestion": 5, "helpful.suggestion.agent": "draft-3",
        }
    ]  # fmt: skip


def promptfoo() -> dict[str, Any]:
    """Two outputs: people rated one with a metric of its own, and gave the other a named score."""

    def result(provider: str, answer: str, grading: dict[str, Any]) -> dict[str, Any]:
        return {
            "promptIdx": 0, "testIdx": 0, "vars": {"question": "Which plug?", "annotator": "kim"},
            "prompt": {"raw": "Answer briefly: Which plug?", "label": "brief"},
            "provider": {"id": provider, "label": ""}, "response": {"output": answer},
            "success": True, "score": 1, "namedScores": {}, "gradingResult": grading,
        }  # fmt: skip

    model = {
        "pass": True,
        "score": 0.9,
        "reason": "ok",
        "assertion": {"type": "llm-rubric", "metric": "tone"},
    }
    human = {
        "pass": True, "score": 4, "reason": "Manual result",
        "assertion": {"type": "human", "metric": "helpful"}, "comment": "clear",
    }  # fmt: skip
    return {
        "evalId": "eval-x",
        "results": {
            "version": 3,
            "results": [
                result(
                    "shop:bot-1",
                    "Type F.",
                    {"componentResults": [model, human], "namedScores": {"tone": 0.9}},
                ),
                result(
                    "shop:bot-2", "Any.", {"componentResults": [model], "namedScores": {"human_helpful": 2}}
                ),
            ],
        },
    }


def inspect_log() -> dict[str, Any]:
    """Two samples: a person edited one score, another's score says who gave it; a scorer scored both."""

    def sample(name: str, answer: str, scores: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": name, "epoch": 1, "input": [{"role": "system", "content": "Be brief."},
                                               {"role": "user", "content": f"Tell me of {name}."}],
            "target": "something", "metadata": {"level": "easy"},
            "output": {"model": "shop/bot-1", "choices": [{"message": said(answer)}]},
            "scores": scores,
        }  # fmt: skip

    def said(answer: str) -> dict[str, Any]:
        return {"role": "assistant", "content": [{"type": "text", "text": answer}]}

    edited = {
        "value": 4, "answer": None, "explanation": "better than that",
        "history": [
            {"value": 2, "provenance": None},
            {"value": 4, "provenance": {"timestamp": "2026-11-02T09:30:00Z", "author": "kim", "reason": "x"}},
        ],
    }  # fmt: skip
    return {
        "version": 2,
        "status": "success",
        "eval": {"task": "plugs", "model": "shop/bot-1", "created": "2026-11-01T00:00:00Z"},
        "samples": [
            sample("q1", "Type F.", {"helpful": edited, "match": {"value": "C"}}),
            sample(
                "q2",
                "Ten.",
                {"helpful": {"value": "3", "metadata": {"annotator": "lee"}}, "match": {"value": "I"}},
            ),
        ],
    }


def mt_bench() -> list[dict[str, Any]]:
    """Three votes by people: on the first turn, on the second, and a tie."""

    def talk(*answers: str) -> list[dict[str, str]]:
        asked = ("Which plug?", "And in Denmark?")
        both = zip(asked, answers, strict=False)
        return [
            one
            for question, answer in both
            for one in ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
        ]

    vote = {
        "question_id": 81, "model_a": "bot-1", "model_b": "bot-2", "winner": "model_a", "judge": "expert_3",
        "turn": 1, "conversation_a": talk("Type F.", "Type K."), "conversation_b": talk("Any.", "Any."),
        "tstamp": 1_762_000_000.5,
    }  # fmt: skip
    return [
        vote,
        {**vote, "turn": 2, "winner": "model_b", "judge": "author_1"},
        {**vote, "question_id": 82, "winner": "tie (inconsistent)", "tstamp": None},
    ]
