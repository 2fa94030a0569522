"""batches

Revision 0003, after 0002. Columns are dropped in plain SQL: rebuilding ``replies`` and ``grades`` on SQLite
would lose the triggers that hold them to append-only.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("process_id", ID, autoincrement=False, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("places", sa.Integer(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("taken_by", sa.BigInteger(), nullable=True),
        sa.Column("taken_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("process_id", name=op.f("pk_workers")),
    )
    op.create_table(
        "batches",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("reuse", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("estimate", sa.Text(), nullable=False),
        sa.Column("items", sa.BigInteger(), nullable=False),
        sa.Column("seats", sa.BigInteger(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_batches_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    op.create_index(op.f("ix_batches_project_id_id"), "batches", ["project_id", "id"], unique=False)
    op.create_index(op.f("ix_batches_status"), "batches", ["status"], unique=False)

    op.create_table(
        "budgets",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=True),
        sa.Column("limit_usd", sa.Double(), nullable=True),
        sa.Column("spent_usd", sa.Double(), nullable=False),
        sa.Column("held_usd", sa.Double(), nullable=False),
        sa.Column("suspect_usd", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_budgets_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
    )
    op.create_index(op.f("ix_budgets_project_id_kind"), "budgets", ["project_id", "kind"], unique=False)

    op.create_table(
        "batch_chunks",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("requests", sa.LargeBinary(), nullable=True),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.BigInteger(), nullable=True),
        sa.Column("claim", sa.BigInteger(), nullable=True),
        sa.Column("complete", sa.Integer(), nullable=False),
        sa.Column("partial", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("reused", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_chunks_batch_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_batch_chunks_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_chunks")),
        sa.UniqueConstraint("batch_id", "number", name=op.f("uq_batch_chunks_batch_id_number")),
    )
    op.create_index(
        "ix_batch_chunks_open",
        "batch_chunks",
        ["batch_id", "number"],
        unique=False,
        sqlite_where=sa.text("NOT done"),
        postgresql_where=sa.text("NOT done"),
    )

    op.create_table(
        "purses",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("process_id", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("day_budget_id", ID, nullable=False),
        sa.Column("held_usd", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_purses_batch_id")),
        sa.ForeignKeyConstraint(["day_budget_id"], ["budgets.id"], name=op.f("fk_purses_day_budget_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_purses_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purses")),
    )
    op.create_index(op.f("ix_purses_process_id"), "purses", ["process_id"], unique=False)

    op.create_table(
        "batch_items",
        sa.Column("batch_id", ID, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("grade_id", ID, nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_items_batch_id")),
        sa.ForeignKeyConstraint(["grade_id"], ["grades.id"], name=op.f("fk_batch_items_grade_id")),
        sa.PrimaryKeyConstraint("batch_id", "number", name=op.f("pk_batch_items")),
        sqlite_with_rowid=False,
    )
    op.add_column("grades", sa.Column("batch_id", ID, nullable=True))
    op.create_index(op.f("ix_grades_item_id"), "grades", ["item_id"], unique=False)

    op.add_column("replies", sa.Column("from_grade_id", ID, nullable=True))
    op.add_column("replies", sa.Column("from_position", sa.SmallInteger(), nullable=True))


def downgrade() -> None:
    op.execute("ALTER TABLE replies DROP COLUMN from_position")
    op.execute("ALTER TABLE replies DROP COLUMN from_grade_id")

    op.drop_index(op.f("ix_grades_item_id"), "grades")
    op.execute("ALTER TABLE grades DROP COLUMN batch_id")

    op.drop_table("batch_items")
    op.drop_index(op.f("ix_purses_process_id"), "purses")

    op.drop_table("purses")
    op.drop_index("ix_batch_chunks_open", "batch_chunks")

    op.drop_table("batch_chunks")
    op.drop_index(op.f("ix_budgets_project_id_kind"), "budgets")

    op.drop_table("budgets")
    op.drop_index(op.f("ix_batches_status"), "batches")
    op.drop_index(op.f("ix_batches_project_id_id"), "batches")

    op.drop_table("batches")
    op.drop_table("workers")
