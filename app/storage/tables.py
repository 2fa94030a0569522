"""Every table of the service. Rows never leave this package: repositories turn them into domain objects.

Conventions: ids are 63-bit integers made by the service (`app.domain.ids`); a column that ends in
``_at`` is a Unix time in milliseconds, UTC; ``project_id`` stands in every row; JSON is text.
Foreign keys guard what is written row by row. The ledger of verdicts has only those that a reader
joins on, since its parents are written in the same transaction and each key costs a look-up per row.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from app.storage.words import Words

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer(), "sqlite")  # SQLite's own row id is spelled INTEGER


def _id(name: str = "id", **options: Any) -> Column[Any]:
    return Column(name, Id, primary_key=True, autoincrement=False, **options)


def _key(target: str, name: str, *, nullable: bool = False, **options: Any) -> Column[Any]:
    return Column(name, Id, ForeignKey(f"{target}.id"), nullable=nullable, **options)


def _project() -> Column[Any]:
    return _key("projects", "project_id")


def _when(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=nullable)


# --- who: projects, keys, processes ---------------------------------------------------------------

projects = Table(
    "projects",
    metadata,
    _id(),
    Column("name", Words, nullable=False, unique=True),
    Column("policy", Words, nullable=False),
    _when("created_at"),
    Column("limits", Words),  # of calls for it; null: none
)

api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    _project(),
    Column("name", Words, nullable=False),
    Column("prefix", Words, nullable=False, unique=True),
    Column("mac", LargeBinary, nullable=False),  # HMAC-SHA-256 of the secret; the secret is never stored
    Column("scopes", Words, nullable=False),
    _when("created_at"),
    _when("last_used_at", nullable=True),
    _when("revoked_at", nullable=True),
    Index(None, "project_id"),
)

# A running service. Work it had begun is taken over once it is known to be dead.
processes = Table(
    "processes",
    metadata,
    _id(),
    Column("host", Words, nullable=False),
    Column("pid", Integer, nullable=False),
    _when("started_at"),
    _when("seen_at"),
)

# --- what providers allow ---------------------------------------------------------------------------

# What is left of an allowance that all processes share: a model at an endpoint, or a project. Less than
# ``factor`` 1 of it flows in after the provider turned calls away. See `rates`.
rates = Table(
    "rates",
    metadata,
    _id(),
    Column("scope", Words, nullable=False),
    Column("kind", Words, nullable=False),  # requests, tokens (a minute), dollars (a day)
    Column("allowance", Double, nullable=False),
    Column("level", Double, nullable=False),
    Column("factor", Double, nullable=False),
    Column("granted", Double, nullable=False),  # by the last lease
    Column("taken", Double, nullable=False),  # in all
    _when("flowed_at"),
    _when("shrunk_at"),
    Column("turned_away", Integer, nullable=False, server_default="0"),  # calls, in all
)

# Who took how much of an allowance in a minute (since 1970) and the one before.
rate_holders = Table(
    "rate_holders",
    metadata,
    _id(),  # content id of (rate, process)
    Column("rate_id", BigInteger, nullable=False),
    Column("process_id", BigInteger, nullable=False),
    Column("host", Words, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("minute", BigInteger, nullable=False),
    Column("taken", Double, nullable=False),
    Column("taken_before", Double, nullable=False),
    _when("leased_at"),
    Index(None, "rate_id"),
)

# --- what is judged: rubrics, items, answers, strata ----------------------------------------------

rubrics = Table(
    "rubrics",
    metadata,
    _id(),
    _project(),
    Column("name", Words, nullable=False),
    Column("latest_version", Integer, nullable=False),
    _when("created_at"),
    UniqueConstraint("project_id", "name"),
)

rubric_versions = Table(
    "rubric_versions",
    metadata,
    _id(),
    _project(),
    _key("rubrics", "rubric_id"),
    Column("version", Integer, nullable=False),
    Column("digest", Words, nullable=False),
    Column("content", Words, nullable=False),
    _when("created_at"),
    UniqueConstraint("rubric_id", "version"),
)

# A criterion keeps its id across wordings, and gets another when its scale, direction or the
# rubric's kind changes: such verdicts cannot be pooled.
criteria = Table(
    "criteria",
    metadata,
    _id(),
    _project(),
    _key("rubrics", "rubric_id"),
    Column("name", Words, nullable=False),
    Index(None, "rubric_id"),
)

texts = Table(
    "texts",
    metadata,
    _id(),
    _project(),
    Column("sha256", Words, nullable=False),
    Column("body", LargeBinary, nullable=False),  # UTF-8; bytes, since PostgreSQL's text has no NUL
)

items = Table(
    "items",
    metadata,
    _id(),
    _project(),
    Column("external_id", Words),
    _key("texts", "prompt_text_id", nullable=True),
    _key("texts", "context_text_id", nullable=True),
    _key("texts", "reference_text_id", nullable=True),
    _when("created_at"),
)

systems = Table(
    "systems",
    metadata,
    _id(),
    _project(),
    Column("name", Words, nullable=False),
    Column("family", Words),
    Column("model", Words),
    UniqueConstraint("project_id", "name"),
)

answers = Table(
    "answers",
    metadata,
    _id(),
    _project(),
    _key("items", "item_id"),
    _key("systems", "system_id"),
    _key("texts", "text_id", nullable=True),
    Column("len_words", Integer),
    Column("len_chars", Integer),
    _when("created_at"),
    Index(None, "item_id", "system_id"),
    Index(None, "project_id", "system_id"),
)

strata = Table(
    "strata",
    metadata,
    _id(),
    _project(),
    Column("name", Words, nullable=False),
    Column("value", Words, nullable=False),
    Index(None, "project_id", "name"),
)

# One value per item and stratum name (the first seen): ``dimension_id`` stands for the name.
item_strata = Table(
    "item_strata",
    metadata,
    _key("items", "item_id", primary_key=True, autoincrement=False),
    Column("dimension_id", Id, primary_key=True, autoincrement=False),
    _project(),
    _key("strata", "stratum_id"),
    Index(None, "project_id", "dimension_id"),
    sqlite_with_rowid=False,
)

# --- judges and what they did ---------------------------------------------------------------------

judge_versions = Table(
    "judge_versions",
    metadata,
    _id(),
    _project(),
    Column("name", Words, nullable=False),
    Column("family", Words, nullable=False),
    Column("model", Words, nullable=False),
    Column("params", Words, nullable=False),
    Column("prompt_version", Words, nullable=False),
    Column("simulated", Boolean, nullable=False),
    _when("created_at"),
    Index(None, "project_id", "name"),
)

grades = Table(
    "grades",
    metadata,
    _id(),
    _project(),
    _key("rubric_versions", "rubric_version_id"),
    _key("items", "item_id"),
    Column("answer_ids", Words, nullable=False),  # JSON array, in the caller's order
    Column("seed", Words, nullable=False),  # decimal digits: a seed may have more than 63 bits
    Column("families", Words, nullable=False),  # JSON: family -> how many of its judges could have sat
    Column("request", Words, nullable=False),  # JSON: what the caller asked, without the texts
    Column("status", Words, nullable=False),
    Column("process_id", BigInteger, nullable=False),
    Column("answered", Words),  # JSON: what was derived for the caller when the grade was finished
    _when("created_at"),
    _when("finished_at", nullable=True),
    Column("batch_id", Id),  # null: not part of a batch
    Index(None, "item_id"),
    Index(
        "ix_grades_unfinished",
        "process_id",
        sqlite_where=text("status = 'pending'"),
        postgresql_where=text("status = 'pending'"),
    ),
    Index(None, "project_id", "id"),
)

seats = Table(
    "seats",
    metadata,
    _key("grades", "grade_id", primary_key=True, autoincrement=False),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    Column("project_id", Id, nullable=False),
    _key("judge_versions", "judge_version_id"),
    Column("shown", Words, nullable=False),  # JSON array: which answer stands in each place
    Column("inclusion_probability", Double, nullable=False),
    Column("replaces", SmallInteger),
    _when("created_at"),
    sqlite_with_rowid=False,
)

# What was drawn of a panel's second stage, before its judges were called: its seats begin at ``position``.
second_stages = Table(
    "second_stages",
    metadata,
    _key("grades", "grade_id", primary_key=True, autoincrement=False),
    _project(),
    Column("chance", Double, nullable=False),
    Column("asked", Boolean, nullable=False),
    Column("width", Double),  # of the widest calibrated interval, as a share of the scale
    Column("gap", Double),  # between judges of the first stage, as a share of the scale
    Column("seats", SmallInteger, nullable=False),  # that there were to ask
    Column("position", SmallInteger, nullable=False),
    _when("created_at"),
    Index(None, "project_id"),
    sqlite_with_rowid=False,
)

replies = Table(
    "replies",
    metadata,
    _key("grades", "grade_id", primary_key=True, autoincrement=False),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    Column("project_id", Id, nullable=False),
    Column("judge_version_id", Id, nullable=False),
    Column("unscored", SmallInteger, nullable=False),  # -1: scored
    Column("detail", Words),
    Column("rationale", Words),
    Column("latency_ms", Double, nullable=False),
    Column("cost_usd", Double, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("cached", Boolean, nullable=False),
    _when("answered_at"),
    # The seat whose verdicts are used here once more; they are counted there, and nowhere else.
    Column("from_grade_id", Id),
    Column("from_position", SmallInteger),
    Index(None, "judge_version_id", "answered_at"),
    sqlite_with_rowid=False,
)

# The ledger. Append-only; ids grow in the order of commit (see `ledger`).
verdicts = Table(
    "verdicts",
    metadata,
    _id(),
    Column("project_id", Id, nullable=False),
    Column("rubric_version_id", Id, nullable=False),
    Column("criterion_id", Id, nullable=False),
    Column("judge_version_id", Id, nullable=False),
    Column("item_id", Id, nullable=False),
    _key("answers", "answer_id"),
    Column("other_answer_id", Id),
    Column("system_id", Id, nullable=False),
    Column("other_system_id", Id),
    Column("grade_id", Id),  # null: imported
    Column("position", SmallInteger),  # the seat, within its grade
    Column("import_id", Id),  # null: graded here
    Column("import_key", Id),  # hash of (judge, criterion, unit, draw, place), for imported ones
    Column("draw", SmallInteger, nullable=False),
    Column("place", SmallInteger, nullable=False),
    Column("value", Double),
    Column("expected", Double),
    Column("unscored", SmallInteger, nullable=False),  # -1: scored, else the index of its reason
    Column("simulated", Boolean, nullable=False),
    Column("inclusion_probability", Double),
    _when("recorded_at"),
    Index(None, "criterion_id", "id"),
    Index(
        "ix_verdicts_grade_id",
        "grade_id",
        sqlite_where=text("grade_id IS NOT NULL"),
        postgresql_where=text("grade_id IS NOT NULL"),
    ),
    Index(
        "uq_verdicts_import_key",
        "import_key",
        unique=True,
        sqlite_where=text("import_key IS NOT NULL"),
        postgresql_where=text("import_key IS NOT NULL"),
    ),
)

# One row: the highest verdict id given out. Its row lock makes ids follow the order of commit, so
# that "everything up to this id" is a snapshot that no later commit can add to.
ledger = Table("ledger", metadata, _id(), Column("newest", BigInteger, nullable=False))

# Sums over visible verdicts, kept with every commit: reports count without reading the ledger.
tallies = Table(
    "tallies",
    metadata,
    Column("criterion_id", Id, primary_key=True, autoincrement=False),
    Column("judge_version_id", Id, primary_key=True, autoincrement=False),
    Column("system_id", Id, primary_key=True, autoincrement=False),
    Column("other_system_id", Id, primary_key=True, autoincrement=False),  # 0: not a pair
    Column("place", SmallInteger, primary_key=True, autoincrement=False),
    Column("unscored", SmallInteger, primary_key=True, autoincrement=False),
    Column("project_id", Id, nullable=False),
    Column("verdicts", BigInteger, nullable=False),
    Column("total", Double, nullable=False),
    Column("total_squares", Double, nullable=False),
    sqlite_with_rowid=False,
)

imports = Table(
    "imports",
    metadata,
    _id(),
    _project(),
    _key("rubrics", "rubric_id"),
    Column("sha256", Words, nullable=False),
    Column("status", Words, nullable=False),  # running, done, failed
    Column("verdicts", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("contradictions", BigInteger, nullable=False),  # duplicates with another value
    # Its rows have numbers of the ledger from ``ledger_from`` to ``visible_from``, the number at which
    # they became visible (null: not yet).
    Column("ledger_from", BigInteger, nullable=False),
    Column("visible_from", BigInteger),
    Column("process_id", BigInteger, nullable=False),
    _when("started_at"),
    _when("finished_at", nullable=True),
    Index(None, "project_id", "status"),
)

# --- what people said -----------------------------------------------------------------------------

anchor_sets = Table(
    "anchor_sets",
    metadata,
    _id(),
    _project(),
    _key("rubrics", "rubric_id"),
    Column("name", Words, nullable=False),
    Column("latest_version", Integer, nullable=False),
    _when("created_at"),
    UniqueConstraint("project_id", "name"),
)

anchor_set_versions = Table(
    "anchor_set_versions",
    metadata,
    _id(),
    _project(),
    _key("anchor_sets", "anchor_set_id"),
    Column("version", Integer, nullable=False),
    Column("parent", Integer),
    Column("sha256", Words, nullable=False),
    Column("replace", Boolean, nullable=False),
    Column("added", Integer, nullable=False),
    Column("removed", Integer, nullable=False),
    Column("items", Integer, nullable=False),
    Column("grades", Integer, nullable=False),
    Column("annotators", Integer, nullable=False),
    Column("warnings", Words, nullable=False),
    Column("content_sha256", Words),  # of its members; null in versions older than the column
    _when("created_at"),
    UniqueConstraint("anchor_set_id", "version"),
)

# Grades or texts of a version that left the service: what may be in somebody's training data some day.
anchor_exports = Table(
    "anchor_exports",
    metadata,
    _id(),
    _project(),
    _key("anchor_sets", "anchor_set_id"),
    Column("version", Integer, nullable=False),
    Column("what", Words, nullable=False),
    _when("created_at"),
    Index(None, "anchor_set_id"),
)

# Anchors that made room for new ones. Those come in later, by any way that grades come in.
anchor_rotations = Table(
    "anchor_rotations",
    metadata,
    _id(),
    _project(),
    _key("anchor_sets", "anchor_set_id"),
    Column("before_version", Integer, nullable=False),
    Column("after_version", Integer, nullable=False),
    Column("queue", Words),  # where the new ones are graded; null if nothing was drawn
    Column("policy", Words, nullable=False),  # JSON
    Column("retired", Words, nullable=False),  # JSON array of the items' ids
    Column("warnings", Words, nullable=False),  # JSON array
    _when("created_at"),
    Index(None, "anchor_set_id"),
)

# How a project's files with these columns were read the last time one was stored.
column_mappings = Table(
    "column_mappings",
    metadata,
    _id(),  # content id of (project, kind, shape, columns)
    _project(),
    Column("kind", Words, nullable=False),  # of the rubric: pairs have other columns than single answers
    Column("shape", Words, nullable=False),
    Column("columns", Words, nullable=False),  # JSON array, sorted
    Column("mapping", Words, nullable=False),
    _when("used_at"),
    Index(None, "project_id", "used_at"),
)

annotators = Table(
    "annotators",
    metadata,
    _id(),
    _project(),
    Column("name", Words, nullable=False),
    Column("type", Words, nullable=False),
)

# A member of its set from version ``added_in`` until before ``removed_in``.
human_verdicts = Table(
    "human_verdicts",
    metadata,
    _id(),
    _project(),
    _key("anchor_sets", "anchor_set_id"),
    _key("rubric_versions", "rubric_version_id"),
    _key("criteria", "criterion_id"),
    _key("annotators", "annotator_id"),
    _key("items", "item_id"),
    _key("answers", "answer_id"),
    Column("other_answer_id", Id),
    Column("system_id", Id, nullable=False),
    Column("other_system_id", Id),
    Column("unit_key", Id, nullable=False),  # hash of (criterion, answers, annotator)
    Column("value", Double, nullable=False),
    Column("source", Words),
    Column("blind", Boolean),
    Column("inclusion_probability", Double),
    _when("graded_at", nullable=True),
    _when("recorded_at"),
    Column("added_in", Integer, nullable=False),
    Column("removed_in", Integer),
    Index(None, "criterion_id"),
    Index(None, "anchor_set_id", "unit_key"),
)

# --- people at work: queues of answers to grade -----------------------------------------------------

annotation_queues = Table(
    "annotation_queues",
    metadata,
    _id(),
    _project(),
    _key("rubric_versions", "rubric_version_id"),
    Column("name", Words, nullable=False),
    Column("anchor_set", Words, nullable=False),
    Column("guidance", Words, nullable=False),
    Column("open", Boolean, nullable=False),
    _when("created_at"),
    Column("regrade", Words),  # JSON: of which anchors; null: its grades become anchors themselves
    UniqueConstraint("project_id", "name"),
)

annotation_items = Table(
    "annotation_items",
    metadata,
    _id(),  # content id of (queue, answers)
    _project(),
    _key("annotation_queues", "queue_id"),
    _key("items", "item_id"),
    Column("answer_ids", Words, nullable=False),  # JSON array: one answer, a pair, a list
    Column("wanted", SmallInteger, nullable=False),
    Column("relative_chance", Double),  # of being drawn, over the mean of its batch; null: named by hand
    Column("population", Integer),  # how many units the batch was drawn from
    Column("why", Words, nullable=False),
    _when("created_at"),
    Index(None, "queue_id"),
)

# One row per person and item that was shown to them; drafts are saved over, a submitted grade too, until
# it is an anchor: from then on its history is the anchor set's.
annotations = Table(
    "annotations",
    metadata,
    _key("annotation_items", "queue_item_id", primary_key=True, autoincrement=False),
    _key("annotators", "annotator_id", primary_key=True, autoincrement=False),
    Column("project_id", Id, nullable=False),
    Column("state", Words, nullable=False),
    Column("adjudicates", Boolean, nullable=False),
    Column("shown", Words, nullable=False),  # JSON array: which answer stood in each place
    Column("scores", Words, nullable=False),  # JSON: criterion -> values, in the item's own order
    Column("note", Words, nullable=False),
    Column("skip_reason", Words),
    Column("seconds", Double, nullable=False),
    _when("opened_at"),
    _when("resumed_at"),
    _when("saved_at", nullable=True),
    _when("submitted_at", nullable=True),
    sqlite_with_rowid=False,
)

invitations = Table(
    "invitations",
    metadata,
    _key("api_keys", "key_id", primary_key=True, autoincrement=False),
    _project(),
    _key("annotation_queues", "queue_id"),
    _key("annotators", "annotator_id"),
    _when("created_at"),
    _when("expires_at", nullable=True),
    Index(None, "queue_id"),
)

# --- what was fitted ------------------------------------------------------------------------------

calibrations = Table(
    "calibrations",
    metadata,
    _id(),
    _project(),
    _key("rubrics", "rubric_id"),
    Column("criterion", Words, nullable=False),
    Column("anchor_sets", Words),  # JSON array of names; null: all sets of the rubric
    Column("status", Words, nullable=False),
    Column("process_id", BigInteger),
    Column("snapshot", Words, nullable=False),
    Column("model", Words, nullable=False),
    Column("refusals", Words, nullable=False),
    Column("error", Words),
    _when("created_at"),
    _when("started_at", nullable=True),
    _when("finished_at", nullable=True),
    Index(None, "project_id", "rubric_id", "criterion", "status"),
    Index(
        "ix_calibrations_open",
        "status",
        sqlite_where=text("status IN ('queued', 'running')"),
        postgresql_where=text("status IN ('queued', 'running')"),
    ),
)

calibration_frames = Table(
    "calibration_frames",
    metadata,
    _key("calibrations", "calibration_id", primary_key=True, autoincrement=False),
    Column("project_id", Id, nullable=False),
    Column("frame", LargeBinary, nullable=False),
)

# --- audits ---------------------------------------------------------------------------------------

audits = Table(
    "audits",
    metadata,
    _id(),
    _project(),
    Column("kind", Words, nullable=False),
    _key("rubrics", "rubric_id"),
    Column("criterion", Words),
    Column("anchor_set", Words),
    Column("version", Integer),  # of the anchor set
    Column("status", Words, nullable=False),
    Column("process_id", BigInteger),
    Column("parameters", Words, nullable=False),  # JSON
    Column("findings", Words),  # JSON; null until it is done
    Column("error", Words),
    _when("created_at"),
    _when("finished_at", nullable=True),
    Index(None, "project_id", "id"),
)

# One row per anchor that an audit ever put aside; without a decision its grades count for nothing.
quarantine = Table(
    "quarantine",
    metadata,
    _id(),
    _project(),
    _key("anchor_sets", "anchor_set_id"),
    _key("items", "item_id"),
    _key("audits", "audit_id"),
    Column("reason", Words, nullable=False),
    Column("cause", Words, nullable=False),  # hash of what it was found against
    Column("decision", Words),  # keep, retire; null: nobody has decided
    Column("note", Words),
    _when("created_at"),
    _when("decided_at", nullable=True),
    UniqueConstraint("anchor_set_id", "item_id"),
)

# --- promises to callers --------------------------------------------------------------------------

idempotency = Table(
    "idempotency",
    metadata,
    _id(),  # content id of (project, key)
    _project(),
    Column("key", Words, nullable=False),
    Column("fingerprint", Words, nullable=False),
    Column("process_id", BigInteger, nullable=False),
    Column("claim_id", BigInteger, nullable=False),
    Column("status_code", Integer),  # null: the first request is still running
    Column("headers", Words),
    Column("body", LargeBinary),
    _when("created_at"),
    Index(None, "created_at"),
)

callbacks = Table(
    "callbacks",
    metadata,
    _key("grades", "grade_id", primary_key=True, autoincrement=False),
    _project(),
    Column("url", Words, nullable=False),
    Column("attempts", Integer, nullable=False),
    _when("due_at", nullable=True),  # null: delivered, given up, or the grade is not finished
    _when("delivered_at", nullable=True),
    Column("last_error", Words),
    Index("ix_callbacks_due_at", "due_at"),
)

# --- bulk: batches, the workers that grade them, the money they may spend -------------------------

batches = Table(
    "batches",
    metadata,
    _id(),
    _project(),
    Column("name", Words),
    Column("status", Words, nullable=False),
    Column("stop_reason", Words),  # why it stands still, in words
    Column("mode", Words, nullable=False),  # live, or batch: by the providers' batch endpoints
    Column("reuse", Words, nullable=False),  # never, same_project
    Column("options", Words, nullable=False),  # JSON: rubric versions by name, and what else was asked
    Column("estimate", Words, nullable=False),  # JSON
    Column("items", BigInteger, nullable=False),
    Column("seats", BigInteger, nullable=False),  # drawn at first, over all items
    Column("chunks", Integer, nullable=False),
    Column("round", Integer, nullable=False),  # how often chunks were handed to the engine
    Column("process_id", BigInteger, nullable=False),  # who reads its lines, while it is being checked
    _when("created_at"),
    _when("started_at", nullable=True),
    _when("finished_at", nullable=True),
    Index(None, "project_id", "id"),
    Index(None, "status"),
)

# What one workflow of the engine grades. ``claim`` is a number that changes with every worker that takes
# the chunk: who holds another may neither call nor record.
batch_chunks = Table(
    "batch_chunks",
    metadata,
    _id(),  # content id of (batch, number)
    _project(),
    _key("batches", "batch_id"),
    Column("number", Integer, nullable=False),
    Column("first", Integer, nullable=False),  # number of its first item within the batch
    Column("items", Integer, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("round", Integer, nullable=False),  # 0: not with the engine
    Column("process_id", BigInteger),
    Column("claim", BigInteger),
    Column("complete", Integer, nullable=False),
    Column("partial", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("calls", BigInteger, nullable=False),  # attempts, retries included
    Column("reused", Integer, nullable=False),  # seats that took an earlier verdict
    # Seats of second stages that were not asked.
    Column("spared", Integer, nullable=False, server_default="0"),
    Column("awaited", Integer),  # seats that wait for a provider's batch; null: none was queued yet
    UniqueConstraint("batch_id", "number"),
    Index(
        "ix_batch_chunks_open",
        "batch_id",
        "number",
        sqlite_where=text("NOT done"),
        postgresql_where=text("NOT done"),
    ),
)

# Items whose assignment is on record, with their newest grade; or why there can be none.
batch_items = Table(
    "batch_items",
    metadata,
    _key("batches", "batch_id", primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("project_id", Id, nullable=False),
    Column("line", Integer, nullable=False),  # in the caller's file, from 1
    _key("grades", "grade_id", nullable=True),
    Column("problem", Words),
    sqlite_with_rowid=False,
)

# How a batch's comparison of two systems stands that ends it once it is decided. ``state`` is the confidence
# sequence after the first ``chunks`` chunks; what a caller sees of it is JSON.
batch_comparisons = Table(
    "batch_comparisons",
    metadata,
    _key("batches", "batch_id", primary_key=True, autoincrement=False),
    _project(),
    Column("chunks", Integer, nullable=False),
    Column("decided", Boolean, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("shown", Words, nullable=False),
    _when("looked_at", nullable=True),
    sqlite_with_rowid=False,
)

# Dollars: of a batch (id of the batch), of a project's day (content id), and the limit that a project's
# days have (kind ``daily``). Held is set aside by workers for calls under way; suspect is what the calls of
# a worker that died may have cost.
budgets = Table(
    "budgets",
    metadata,
    _id(),
    _project(),
    Column("kind", Words, nullable=False),  # batch, day, daily
    Column("day", Integer),  # days since 1970
    Column("limit_usd", Double),  # null: none
    Column("spent_usd", Double, nullable=False),
    Column("held_usd", Double, nullable=False),
    Column("suspect_usd", Double, nullable=False),
    Index(None, "project_id", "kind"),
)

# What of a chunk is to be graded, apart from what is read and changed all the time.
batch_requests = Table(
    "batch_requests",
    metadata,
    Column(
        "chunk_id", Id, ForeignKey("batch_chunks.id"), primary_key=True, autoincrement=False, nullable=False
    ),
    _project(),
    Column("requests", LargeBinary, nullable=False),  # zlib of one JSON document per line
)

# What a process holds of a day's budget, and of a batch's.
purses = Table(
    "purses",
    metadata,
    _id(),  # content id of (process, batch, day)
    _project(),
    Column("process_id", BigInteger, nullable=False),
    _key("batches", "batch_id", nullable=True),  # null: of grades that somebody waits for
    _key("budgets", "day_budget_id"),
    Column("held_usd", Double, nullable=False),
    Index(None, "process_id"),
)

# Workers that live. One that was silent for too long is taken over: its row goes, and with it its claims.
workers = Table(
    "workers",
    metadata,
    Column("process_id", Id, primary_key=True, autoincrement=False),
    Column("host", Words, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("status", Words, nullable=False),  # working, draining
    Column("places", Integer, nullable=False),
    Column("in_flight", Integer, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("calls", BigInteger, nullable=False),
    _when("started_at"),
    _when("seen_at"),  # by the database's clock
    Column("taken_by", BigInteger),
    _when("taken_at", nullable=True),
)

# A batch at a provider: its id is the intent, on record with its requests and its money before anything is
# sent. ``state``: intended, sent, over; ``standing`` is what its provider said last. Once ``creating_at`` is
# set it may be there, whether or not ``provider_id`` is known.
provider_batches = Table(
    "provider_batches",
    metadata,
    _id(),
    _project(),
    _key("batches", "batch_id"),
    _key("judge_versions", "judge_version_id"),
    Column("state", Words, nullable=False),
    Column("standing", Words),
    Column("provider_id", Words),
    Column("uploaded", Words),  # what the provider calls the lines that were brought to it
    Column("detail", Words),  # what went wrong
    Column("requests", Integer, nullable=False),
    Column("done", Integer, nullable=False),  # as its provider counts
    Column("failed", Integer, nullable=False),  # as its provider counts
    Column("answered", Integer, nullable=False),  # replies on record
    Column("returned", Integer, nullable=False),  # requests to be sent again or asked one by one
    Column("held_usd", Double, nullable=False),
    Column("spent_usd", Double, nullable=False),
    Column("day", Integer, nullable=False),  # whose budget it is paid from
    Column("looks", Integer, nullable=False),  # since something changed
    Column("process_id", BigInteger),
    Column("claim", BigInteger),
    _when("due_at"),
    _when("created_at"),
    _when("creating_at", nullable=True),
    _when("cancelled_at", nullable=True),
    _when("sent_at", nullable=True),
    _when("expires_at", nullable=True),
    _when("ended_at", nullable=True),
    Index(None, "batch_id", "judge_version_id"),
    Index(
        "ix_provider_batches_open",
        "due_at",
        sqlite_where=text("state <> 'over'"),
        postgresql_where=text("state <> 'over'"),
    ),
)

# Seats that wait for a batch at a provider; a row goes when its seat is answered or is asked otherwise.
provider_requests = Table(
    "provider_requests",
    metadata,
    _key("grades", "grade_id", primary_key=True, autoincrement=False),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    Column("project_id", Id, nullable=False),
    _key("batches", "batch_id"),
    Column("chunk", Integer, nullable=False),  # number of its chunk
    Column("number", Integer, nullable=False),  # of its item within the batch
    _key("judge_versions", "judge_version_id"),
    _key("provider_batches", "provider_batch_id", nullable=True),  # null: in no batch yet
    Column("tries", SmallInteger, nullable=False),  # batches that it was in without an end
    Column("size", Integer, nullable=False),  # bytes of its line
    Column("worst_usd", Double, nullable=False),
    Index(
        "ix_provider_requests_queued",
        "batch_id",
        "judge_version_id",
        "grade_id",
        "position",
        sqlite_where=text("provider_batch_id IS NULL"),
        postgresql_where=text("provider_batch_id IS NULL"),
    ),
    Index(None, "provider_batch_id", "chunk", "grade_id", "position"),
    sqlite_with_rowid=False,
)
