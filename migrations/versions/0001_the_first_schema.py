"""the first schema

Revision 0001, after nothing. What is append-only is held to it by triggers; a later migration that
rebuilds one of these tables on SQLite (batch mode) has to make its triggers again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's own row id is spelled INTEGER

# Rows of these tables are never changed. They are never deleted either, except for verdicts of an import
# that nobody has seen yet, when it is taken back.
APPEND_ONLY = ("rubric_versions", "anchor_set_versions", "replies", "verdicts")
UNSEEN = "EXISTS (SELECT 1 FROM imports WHERE imports.id = OLD.import_id AND imports.visible_from IS NULL)"


def protect_on_sqlite(table: str) -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    unless = f"WHEN NOT {UNSEEN}" if table == "verdicts" else ""
    op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}")
    op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {unless} {refuse}")


def protect_on_postgresql(table: str) -> None:
    unless = f"IF TG_OP = 'DELETE' AND {UNSEEN} THEN RETURN OLD; END IF;" if table == "verdicts" else ""
    op.execute(
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {unless}"
        f" RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION {table}_append_only()"
    )


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
    )
    op.create_table(
        "processes",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processes")),
    )
    op.create_table(
        "projects",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
    )
    op.create_table(
        "tallies",
        sa.Column("criterion_id", ID, autoincrement=False, nullable=False),
        sa.Column("judge_version_id", ID, autoincrement=False, nullable=False),
        sa.Column("system_id", ID, autoincrement=False, nullable=False),
        sa.Column("other_system_id", ID, autoincrement=False, nullable=False),
        sa.Column("place", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("unscored", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("verdicts", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Double(), nullable=False),
        sa.Column("total_squares", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint(
            "criterion_id",
            "judge_version_id",
            "system_id",
            "other_system_id",
            "place",
            "unscored",
            name=op.f("pk_tallies"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "annotators",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_annotators_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotators")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_api_keys_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )
    op.create_index(op.f("ix_api_keys_project_id"), "api_keys", ["project_id"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("process_id", sa.BigInteger(), nullable=False),
        sa.Column("claim_id", sa.BigInteger(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_idempotency_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False)
    op.create_table(
        "judge_versions",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_judge_versions_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judge_versions")),
    )
    op.create_index(
        op.f("ix_judge_versions_project_id_name"), "judge_versions", ["project_id", "name"], unique=False
    )
    op.create_table(
        "rubrics",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("latest_version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_rubrics_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rubrics")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_rubrics_project_id_name")),
    )
    op.create_table(
        "strata",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_strata_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_strata")),
    )
    op.create_index(op.f("ix_strata_project_id_name"), "strata", ["project_id", "name"], unique=False)
    op.create_table(
        "systems",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_systems_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_systems")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_systems_project_id_name")),
    )
    op.create_table(
        "texts",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_texts_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_texts")),
    )
    op.create_table(
        "anchor_sets",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("rubric_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("latest_version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_anchor_sets_project_id")),
        sa.ForeignKeyConstraint(["rubric_id"], ["rubrics.id"], name=op.f("fk_anchor_sets_rubric_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_anchor_sets")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_anchor_sets_project_id_name")),
    )
    op.create_table(
        "calibrations",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("rubric_id", ID, nullable=False),
        sa.Column("criterion", sa.Text(), nullable=False),
        sa.Column("anchor_sets", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("process_id", sa.BigInteger(), nullable=True),
        sa.Column("snapshot", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("refusals", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_calibrations_project_id")),
        sa.ForeignKeyConstraint(["rubric_id"], ["rubrics.id"], name=op.f("fk_calibrations_rubric_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calibrations")),
    )
    op.create_index(
        "ix_calibrations_open",
        "calibrations",
        ["status"],
        unique=False,
        sqlite_where=sa.text("status IN ('queued', 'running')"),
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_index(
        op.f("ix_calibrations_project_id_rubric_id_criterion_status"),
        "calibrations",
        ["project_id", "rubric_id", "criterion", "status"],
        unique=False,
    )
    op.create_table(
        "criteria",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("rubric_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_criteria_project_id")),
        sa.ForeignKeyConstraint(["rubric_id"], ["rubrics.id"], name=op.f("fk_criteria_rubric_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_criteria")),
    )
    op.create_index(op.f("ix_criteria_rubric_id"), "criteria", ["rubric_id"], unique=False)
    op.create_table(
        "imports",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("rubric_id", ID, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("verdicts", sa.BigInteger(), nullable=False),
        sa.Column("duplicates", sa.BigInteger(), nullable=False),
        sa.Column("contradictions", sa.BigInteger(), nullable=False),
        sa.Column("ledger_from", sa.BigInteger(), nullable=False),
        sa.Column("visible_from", sa.BigInteger(), nullable=True),
        sa.Column("process_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_imports_project_id")),
        sa.ForeignKeyConstraint(["rubric_id"], ["rubrics.id"], name=op.f("fk_imports_rubric_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_index(op.f("ix_imports_project_id_status"), "imports", ["project_id", "status"], unique=False)
    op.create_table(
        "items",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("prompt_text_id", ID, nullable=True),
        sa.Column("context_text_id", ID, nullable=True),
        sa.Column("reference_text_id", ID, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["context_text_id"], ["texts.id"], name=op.f("fk_items_context_text_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_items_project_id")),
        sa.ForeignKeyConstraint(["prompt_text_id"], ["texts.id"], name=op.f("fk_items_prompt_text_id")),
        sa.ForeignKeyConstraint(["reference_text_id"], ["texts.id"], name=op.f("fk_items_reference_text_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_items")),
    )
    op.create_table(
        "rubric_versions",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("rubric_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_rubric_versions_project_id")),
        sa.ForeignKeyConstraint(["rubric_id"], ["rubrics.id"], name=op.f("fk_rubric_versions_rubric_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rubric_versions")),
        sa.UniqueConstraint("rubric_id", "version", name=op.f("uq_rubric_versions_rubric_id_version")),
    )
    op.create_table(
        "anchor_set_versions",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("anchor_set_id", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("parent", sa.Integer(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("replace", sa.Boolean(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("grades", sa.Integer(), nullable=False),
        sa.Column("annotators", sa.Integer(), nullable=False),
        sa.Column("warnings", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["anchor_set_id"], ["anchor_sets.id"], name=op.f("fk_anchor_set_versions_anchor_set_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_anchor_set_versions_project_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_anchor_set_versions")),
        sa.UniqueConstraint(
            "anchor_set_id", "version", name=op.f("uq_anchor_set_versions_anchor_set_id_version")
        ),
    )
    op.create_table(
        "answers",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("system_id", ID, nullable=False),
        sa.Column("text_id", ID, nullable=True),
        sa.Column("len_words", sa.Integer(), nullable=True),
        sa.Column("len_chars", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_answers_item_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_answers_project_id")),
        sa.ForeignKeyConstraint(["system_id"], ["systems.id"], name=op.f("fk_answers_system_id")),
        sa.ForeignKeyConstraint(["text_id"], ["texts.id"], name=op.f("fk_answers_text_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answers")),
    )
    op.create_index(op.f("ix_answers_item_id_system_id"), "answers", ["item_id", "system_id"], unique=False)
    op.create_index(
        op.f("ix_answers_project_id_system_id"), "answers", ["project_id", "system_id"], unique=False
    )
    op.create_table(
        "calibration_frames",
        sa.Column("calibration_id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("frame", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["calibration_id"], ["calibrations.id"], name=op.f("fk_calibration_frames_calibration_id")
        ),
        sa.PrimaryKeyConstraint("calibration_id", name=op.f("pk_calibration_frames")),
    )
    op.create_table(
        "grades",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("rubric_version_id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("answer_ids", sa.Text(), nullable=False),
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("families", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("process_id", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_grades_item_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_grades_project_id")),
        sa.ForeignKeyConstraint(
            ["rubric_version_id"], ["rubric_versions.id"], name=op.f("fk_grades_rubric_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grades")),
    )
    op.create_index(op.f("ix_grades_project_id_id"), "grades", ["project_id", "id"], unique=False)
    op.create_index(
        "ix_grades_unfinished",
        "grades",
        ["process_id"],
        unique=False,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "item_strata",
        sa.Column("item_id", ID, autoincrement=False, nullable=False),
        sa.Column("dimension_id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("stratum_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_item_strata_item_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_item_strata_project_id")),
        sa.ForeignKeyConstraint(["stratum_id"], ["strata.id"], name=op.f("fk_item_strata_stratum_id")),
        sa.PrimaryKeyConstraint("item_id", "dimension_id", name=op.f("pk_item_strata")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_item_strata_project_id_dimension_id"),
        "item_strata",
        ["project_id", "dimension_id"],
        unique=False,
    )
    op.create_table(
        "callbacks",
        sa.Column("grade_id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["grade_id"], ["grades.id"], name=op.f("fk_callbacks_grade_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_callbacks_project_id")),
        sa.PrimaryKeyConstraint("grade_id", name=op.f("pk_callbacks")),
    )
    op.create_index("ix_callbacks_due_at", "callbacks", ["due_at"], unique=False)
    op.create_table(
        "human_verdicts",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("anchor_set_id", ID, nullable=False),
        sa.Column("rubric_version_id", ID, nullable=False),
        sa.Column("criterion_id", ID, nullable=False),
        sa.Column("annotator_id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("answer_id", ID, nullable=False),
        sa.Column("other_answer_id", ID, nullable=True),
        sa.Column("system_id", ID, nullable=False),
        sa.Column("other_system_id", ID, nullable=True),
        sa.Column("unit_key", ID, nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("blind", sa.Boolean(), nullable=True),
        sa.Column("inclusion_probability", sa.Double(), nullable=True),
        sa.Column("graded_at", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("added_in", sa.Integer(), nullable=False),
        sa.Column("removed_in", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["anchor_set_id"], ["anchor_sets.id"], name=op.f("fk_human_verdicts_anchor_set_id")
        ),
        sa.ForeignKeyConstraint(
            ["annotator_id"], ["annotators.id"], name=op.f("fk_human_verdicts_annotator_id")
        ),
        sa.ForeignKeyConstraint(["answer_id"], ["answers.id"], name=op.f("fk_human_verdicts_answer_id")),
        sa.ForeignKeyConstraint(
            ["criterion_id"], ["criteria.id"], name=op.f("fk_human_verdicts_criterion_id")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_human_verdicts_item_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_human_verdicts_project_id")),
        sa.ForeignKeyConstraint(
            ["rubric_version_id"], ["rubric_versions.id"], name=op.f("fk_human_verdicts_rubric_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_human_verdicts")),
    )
    op.create_index(
        op.f("ix_human_verdicts_anchor_set_id_unit_key"),
        "human_verdicts",
        ["anchor_set_id", "unit_key"],
        unique=False,
    )
    op.create_index(op.f("ix_human_verdicts_criterion_id"), "human_verdicts", ["criterion_id"], unique=False)
    op.create_table(
        "replies",
        sa.Column("grade_id", ID, autoincrement=False, nullable=False),
        sa.Column("position", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("judge_version_id", ID, nullable=False),
        sa.Column("unscored", sa.SmallInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("rationale", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("cost_usd", sa.Double(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("cached", sa.Boolean(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["grade_id"], ["grades.id"], name=op.f("fk_replies_grade_id")),
        sa.PrimaryKeyConstraint("grade_id", "position", name=op.f("pk_replies")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_replies_judge_version_id_answered_at"),
        "replies",
        ["judge_version_id", "answered_at"],
        unique=False,
    )
    op.create_table(
        "seats",
        sa.Column("grade_id", ID, autoincrement=False, nullable=False),
        sa.Column("position", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("judge_version_id", ID, nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("inclusion_probability", sa.Double(), nullable=False),
        sa.Column("replaces", sa.SmallInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["grade_id"], ["grades.id"], name=op.f("fk_seats_grade_id")),
        sa.ForeignKeyConstraint(
            ["judge_version_id"], ["judge_versions.id"], name=op.f("fk_seats_judge_version_id")
        ),
        sa.PrimaryKeyConstraint("grade_id", "position", name=op.f("pk_seats")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "verdicts",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("rubric_version_id", ID, nullable=False),
        sa.Column("criterion_id", ID, nullable=False),
        sa.Column("judge_version_id", ID, nullable=False),
        sa.Column("item_id", ID, nullable=False),
        sa.Column("answer_id", ID, nullable=False),
        sa.Column("other_answer_id", ID, nullable=True),
        sa.Column("system_id", ID, nullable=False),
        sa.Column("other_system_id", ID, nullable=True),
        sa.Column("grade_id", ID, nullable=True),
        sa.Column("position", sa.SmallInteger(), nullable=True),
        sa.Column("import_id", ID, nullable=True),
        sa.Column("import_key", ID, nullable=True),
        sa.Column("draw", sa.SmallInteger(), nullable=False),
        sa.Column("place", sa.SmallInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("expected", sa.Double(), nullable=True),
        sa.Column("unscored", sa.SmallInteger(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("inclusion_probability", sa.Double(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["answers.id"], name=op.f("fk_verdicts_answer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
    )
    op.create_index(op.f("ix_verdicts_criterion_id_id"), "verdicts", ["criterion_id", "id"], unique=False)
    op.create_index(
        "ix_verdicts_grade_id",
        "verdicts",
        ["grade_id"],
        unique=False,
        sqlite_where=sa.text("grade_id IS NOT NULL"),
        postgresql_where=sa.text("grade_id IS NOT NULL"),
    )
    op.create_index(
        "uq_verdicts_import_key",
        "verdicts",
        ["import_key"],
        unique=True,
        sqlite_where=sa.text("import_key IS NOT NULL"),
        postgresql_where=sa.text("import_key IS NOT NULL"),
    )

    op.execute("INSERT INTO ledger (id, newest) VALUES (1, 0)")  # the counter that numbers verdicts
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table in APPEND_ONLY:
        (protect_on_sqlite if sqlite else protect_on_postgresql)(table)


def downgrade() -> None:
    op.drop_index(
        "uq_verdicts_import_key",
        table_name="verdicts",
        sqlite_where=sa.text("import_key IS NOT NULL"),
        postgresql_where=sa.text("import_key IS NOT NULL"),
    )
    op.drop_index(
        "ix_verdicts_grade_id",
        table_name="verdicts",
        sqlite_where=sa.text("grade_id IS NOT NULL"),
        postgresql_where=sa.text("grade_id IS NOT NULL"),
    )
    op.drop_index(op.f("ix_verdicts_criterion_id_id"), table_name="verdicts")
    op.drop_table("verdicts")
    op.drop_table("seats")
    op.drop_index(op.f("ix_replies_judge_version_id_answered_at"), table_name="replies")
    op.drop_table("replies")
    op.drop_index(op.f("ix_human_verdicts_criterion_id"), table_name="human_verdicts")
    op.drop_index(op.f("ix_human_verdicts_anchor_set_id_unit_key"), table_name="human_verdicts")
    op.drop_table("human_verdicts")
    op.drop_index("ix_callbacks_due_at", table_name="callbacks")
    op.drop_table("callbacks")
    op.drop_index(op.f("ix_item_strata_project_id_dimension_id"), table_name="item_strata")
    op.drop_table("item_strata")
    op.drop_index(
        "ix_grades_unfinished",
        table_name="grades",
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.drop_index(op.f("ix_grades_project_id_id"), table_name="grades")
    op.drop_table("grades")
    op.drop_table("calibration_frames")
    op.drop_index(op.f("ix_answers_project_id_system_id"), table_name="answers")
    op.drop_index(op.f("ix_answers_item_id_system_id"), table_name="answers")
    op.drop_table("answers")
    op.drop_table("anchor_set_versions")
    op.drop_table("rubric_versions")
    op.drop_table("items")
    op.drop_index(op.f("ix_imports_project_id_status"), table_name="imports")
    op.drop_table("imports")
    op.drop_index(op.f("ix_criteria_rubric_id"), table_name="criteria")
    op.drop_table("criteria")
    op.drop_index(op.f("ix_calibrations_project_id_rubric_id_criterion_status"), table_name="calibrations")
    op.drop_index(
        "ix_calibrations_open",
        table_name="calibrations",
        sqlite_where=sa.text("status IN ('queued', 'running')"),
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.drop_table("calibrations")
    op.drop_table("anchor_sets")
    op.drop_table("texts")
    op.drop_table("systems")
    op.drop_index(op.f("ix_strata_project_id_name"), table_name="strata")
    op.drop_table("strata")
    op.drop_table("rubrics")
    op.drop_index(op.f("ix_judge_versions_project_id_name"), table_name="judge_versions")
    op.drop_table("judge_versions")
    op.drop_index(op.f("ix_idempotency_created_at"), table_name="idempotency")
    op.drop_table("idempotency")
    op.drop_index(op.f("ix_api_keys_project_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("annotators")
    op.drop_table("tallies")
    op.drop_table("projects")
    op.drop_table("processes")
    op.drop_table("ledger")
    if op.get_bind().dialect.name == "postgresql":
        for table in APPEND_ONLY:
            op.execute(f"DROP FUNCTION {table}_append_only()")
