"""batches at providers, and the seats that wait for them

Revision 0006, after 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("batch_chunks", sa.Column("awaited", sa.Integer(), nullable=True))
    op.create_table(
        "provider_batches",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("judge_version_id", ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("standing", sa.Text(), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("uploaded", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("returned", sa.Integer(), nullable=False),
        sa.Column("held_usd", sa.Double(), nullable=False),
        sa.Column("spent_usd", sa.Double(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("process_id", sa.BigInteger(), nullable=True),
        sa.Column("claim", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("creating_at", sa.BigInteger(), nullable=True),
        sa.Column("cancelled_at", sa.BigInteger(), nullable=True),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_provider_batches_project_id")),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_provider_batches_batch_id")),
        sa.ForeignKeyConstraint(
            ["judge_version_id"],
            ["judge_versions.id"],
            name=op.f("fk_provider_batches_judge_version_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_batches")),
    )
    op.create_index(
        op.f("ix_provider_batches_batch_id_judge_version_id"),
        "provider_batches",
        ["batch_id", "judge_version_id"],
    )
    not_over = sa.text("state <> 'over'")
    op.create_index(
        "ix_provider_batches_open",
        "provider_batches",
        ["due_at"],
        sqlite_where=not_over,
        postgresql_where=not_over,
    )
    op.create_table(
        "provider_requests",
        sa.Column("grade_id", ID, autoincrement=False, nullable=False),
        sa.Column("position", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("judge_version_id", ID, nullable=False),
        sa.Column("provider_batch_id", ID, nullable=True),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("worst_usd", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["grade_id"], ["grades.id"], name=op.f("fk_provider_requests_grade_id")),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_provider_requests_batch_id")),
        sa.ForeignKeyConstraint(
            ["judge_version_id"],
            ["judge_versions.id"],
            name=op.f("fk_provider_requests_judge_version_id"),
        ),
        sa.ForeignKeyConstraint(
            ["provider_batch_id"],
            ["provider_batches.id"],
            name=op.f("fk_provider_requests_provider_batch_id"),
        ),
        sa.PrimaryKeyConstraint("grade_id", "position", name=op.f("pk_provider_requests")),
        sqlite_with_rowid=False,
    )
    queued = sa.text("provider_batch_id IS NULL")
    op.create_index(
        "ix_provider_requests_queued",
        "provider_requests",
        ["batch_id", "judge_version_id", "grade_id", "position"],
        sqlite_where=queued,
        postgresql_where=queued,
    )
    op.create_index(
        op.f("ix_provider_requests_provider_batch_id_chunk_grade_id_position"),
        "provider_requests",
        ["provider_batch_id", "chunk", "grade_id", "position"],
    )


def downgrade() -> None:
    op.drop_table("provider_requests")
    op.drop_table("provider_batches")
    op.drop_column("batch_chunks", "awaited")
