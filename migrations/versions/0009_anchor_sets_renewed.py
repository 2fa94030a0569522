"""anchor sets: hashes of their content, exports, rotations, remembered mappings of columns

Revision 0009, after 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0005"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's own row id is spelled INTEGER


def upgrade() -> None:
    op.add_column("anchor_set_versions", sa.Column("content_sha256", sa.Text(), nullable=True))
    op.create_table(
        "anchor_exports",
        *_of_a_set("anchor_exports"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index(op.f("ix_anchor_exports_anchor_set_id"), "anchor_exports", ["anchor_set_id"])
    op.create_table(
        "anchor_rotations",
        *_of_a_set("anchor_rotations"),
        sa.Column("before_version", sa.Integer(), nullable=False),
        sa.Column("after_version", sa.Integer(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("retired", sa.Text(), nullable=False),
        sa.Column("warnings", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index(op.f("ix_anchor_rotations_anchor_set_id"), "anchor_rotations", ["anchor_set_id"])
    op.create_table(
        "column_mappings",
        *_of_a_project("column_mappings"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("columns", sa.Text(), nullable=False),
        sa.Column("mapping", sa.Text(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
    )
    op.create_index(
        op.f("ix_column_mappings_project_id_used_at"), "column_mappings", ["project_id", "used_at"]
    )


def downgrade() -> None:
    op.drop_table("column_mappings")
    op.drop_table("anchor_rotations")
    op.drop_table("anchor_exports")
    op.drop_column("anchor_set_versions", "content_sha256")


def _of_a_project(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f(f"fk_{table}_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    ]


def _of_a_set(table: str) -> list[sa.schema.SchemaItem]:
    return [
        *_of_a_project(table),
        sa.Column("anchor_set_id", ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["anchor_set_id"], ["anchor_sets.id"], name=op.f(f"fk_{table}_anchor_set_id_anchor_sets")
        ),
    ]
