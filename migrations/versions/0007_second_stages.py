"""second stages of panels, what batches saved by them, and comparisons that end batches

Revision 0007, after 0009.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0009"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "second_stages",
        sa.Column("grade_id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("chance", sa.Double(), nullable=False),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("width", sa.Double(), nullable=True),
        sa.Column("gap", sa.Double(), nullable=True),
        sa.Column("seats", sa.SmallInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["grade_id"], ["grades.id"], name=op.f("fk_second_stages_grade_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_second_stages_project_id")),
        sa.PrimaryKeyConstraint("grade_id", name=op.f("pk_second_stages")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_second_stages_project_id"), "second_stages", ["project_id"])
    op.create_table(
        "batch_comparisons",
        sa.Column("batch_id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("decided", sa.Boolean(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("looked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_comparisons_batch_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_batch_comparisons_project_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batch_comparisons")),
        sqlite_with_rowid=False,
    )
    op.add_column("batch_chunks", sa.Column("spared", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("batch_chunks", "spared")
    op.drop_table("batch_comparisons")
    op.drop_table("second_stages")
