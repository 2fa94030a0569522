"""Which column of a file is probably which of ours: a proposal for a person to check."""

import re
from collections.abc import Sequence

from app.anchoring.mapping import STRATUM, Mapping, Uploaded, our_columns
from app.domain.rubrics import Rubric, RubricKind

# Other names people give our columns, most telling first.
_ALSO: dict[str, tuple[str, ...]] = {
    "item_id": ("id", "itemid", "example_id", "question_id", "prompt_id", "task_id", "sample_id", "uid"),
    "prompt": ("question", "instruction", "input", "query", "user_message", "task"),
    "context": ("passage", "document", "documents", "source_text", "background"),
    "reference": ("gold", "gold_answer", "reference_answer", "expected", "target", "ideal"),
    "criterion": ("dimension", "aspect", "metric", "attribute", "quality"),
    "score": ("rating", "grade", "value", "human_score", "label", "points", "mark", "human_rating"),
    "graded_at": ("timestamp", "created_at", "date", "time", "rated_at", "updated_at"),
    "scale_min": ("min", "min_score"),
    "scale_max": ("max", "max_score"),
    "system": ("model", "model_name", "bot", "assistant", "generator", "engine", "system_name"),
    "system_family": ("family", "model_family", "vendor", "provider"),
    "answer": ("response", "output", "completion", "text", "generation", "reply", "model_output"),
    "len_words": ("words", "word_count", "length", "n_words"),
    "verdict": ("winner", "preference", "preferred", "choice", "vote", "label"),
    "annotator": ("rater", "grader", "annotator_id", "worker", "worker_id", "reviewer", "labeler"),
    "annotator_type": ("rater_type", "role", "grader_type"),
    "source": ("origin", "campaign", "batch", "tool"),
    "blind": ("blinded",),
    "inclusion_probability": ("sampling_probability", "probability", "sampling_weight"),
    "system_a": ("model_a", "model_1", "system_1", "system1", "model1", "left_model"),
    "system_b": ("model_b", "model_2", "system_2", "system2", "model2", "right_model"),
    "answer_a": ("response_a", "output_a", "answer_1", "response_1", "response1", "output_1"),
    "answer_b": ("response_b", "output_b", "answer_2", "response_2", "response2", "output_2"),
}  # fmt: skip


def guess_mapping(header: Sequence[str], rubric: Rubric) -> Mapping:
    """A mapping of human grades for ``rubric`` from a file with these columns."""
    ours = our_columns(Uploaded.ANCHORS, rubric.kind)
    normal = {_plain(name): name for name in reversed(header)}
    found: dict[str, str | None] = {}
    taken: set[str] = set()
    for exact in (True, False):
        for name in ours:
            if name in found:
                continue
            wanted = (name,) if exact else _ALSO.get(name, ())
            for word in wanted:
                their = normal.get(_plain(word))
                if their is not None and their not in taken:
                    found[name] = their
                    taken.add(their)
                    break
    if rubric.kind is RubricKind.PAIRWISE and "verdict" in found:
        found.pop("score", None)
    strata = {name: name for name in header if name.startswith(STRATUM)}
    return Mapping(columns={**found, **strata})


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
