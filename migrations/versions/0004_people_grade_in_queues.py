"""people grade in queues

Revision 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's own row id is spelled INTEGER


def _row(table: str, *names: str) -> tuple[sa.Column | sa.Constraint, ...]:
    """Columns that hold ids of rows of other tables, named ``column>table``."""
    made: list[sa.Column | sa.Constraint] = []
    for name in names:
        column, _, target = name.partition(">")
        made.append(sa.Column(column, ID, nullable=False))
        key = op.f(f"fk_{table}_{column}_{target}")
        made.append(sa.ForeignKeyConstraint([column], [f"{target}.id"], name=key))
    return tuple(made)


def upgrade() -> None:
    op.create_table(
        "annotation_queues",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        *_row("annotation_queues", "project_id>projects", "rubric_version_id>rubric_versions"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("anchor_set", sa.Text(), nullable=False),
        sa.Column("guidance", sa.Text(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotation_queues")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_annotation_queues_project_id_name")),
    )
    op.create_table(
        "annotation_items",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        *_row("annotation_items", "project_id>projects", "queue_id>annotation_queues", "item_id>items"),
        sa.Column("answer_ids", sa.Text(), nullable=False),
        sa.Column("wanted", sa.SmallInteger(), nullable=False),
        sa.Column("relative_chance", sa.Double(), nullable=True),
        sa.Column("population", sa.Integer(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotation_items")),
    )
    op.create_index(op.f("ix_annotation_items_queue_id"), "annotation_items", ["queue_id"], unique=False)
    op.create_table(
        "annotations",
        *_row("annotations", "queue_item_id>annotation_items", "annotator_id>annotators"),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("adjudicates", sa.Boolean(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("scores", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("skip_reason", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("resumed_at", sa.BigInteger(), nullable=False),
        sa.Column("saved_at", sa.BigInteger(), nullable=True),
        sa.Column("submitted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("queue_item_id", "annotator_id", name=op.f("pk_annotations")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "invitations",
        *_row("invitations", "key_id>api_keys", "project_id>projects"),
        *_row("invitations", "queue_id>annotation_queues", "annotator_id>annotators"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_invitations")),
    )
    op.create_index(op.f("ix_invitations_queue_id"), "invitations", ["queue_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_invitations_queue_id"), table_name="invitations")
    op.drop_table("invitations")
    op.drop_table("annotations")
    op.drop_index(op.f("ix_annotation_items_queue_id"), table_name="annotation_items")
    op.drop_table("annotation_items")
    op.drop_table("annotation_queues")
