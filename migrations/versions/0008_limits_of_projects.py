"""limits of projects, who leases how much, purses of grades that somebody waits for, requests beside chunks

Revision 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("projects", sa.Column("limits", sa.Text(), nullable=True))
    op.add_column("rates", sa.Column("turned_away", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "rate_holders",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("rate_id", sa.BigInteger(), nullable=False),
        sa.Column("process_id", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("taken", sa.Double(), nullable=False),
        sa.Column("taken_before", sa.Double(), nullable=False),
        sa.Column("leased_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rate_holders")),
    )
    op.create_index(op.f("ix_rate_holders_rate_id"), "rate_holders", ["rate_id"], unique=False)
    with op.batch_alter_table("purses") as purses:
        purses.alter_column("batch_id", existing_type=ID, nullable=True)
    op.create_table(
        "batch_requests",
        sa.Column("chunk_id", ID, autoincrement=False, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("requests", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["chunk_id"], ["batch_chunks.id"], name=op.f("fk_batch_requests_chunk_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_batch_requests_project_id")),
        sa.PrimaryKeyConstraint("chunk_id", name=op.f("pk_batch_requests")),
    )
    op.execute(
        "INSERT INTO batch_requests (chunk_id, project_id, requests) "
        "SELECT id, project_id, requests FROM batch_chunks WHERE requests IS NOT NULL"
    )
    op.execute("ALTER TABLE batch_chunks DROP COLUMN requests")


def downgrade() -> None:
    op.add_column("batch_chunks", sa.Column("requests", sa.LargeBinary(), nullable=True))
    op.execute(
        "UPDATE batch_chunks SET requests = "
        "(SELECT requests FROM batch_requests WHERE chunk_id = batch_chunks.id)"
    )
    op.drop_table("batch_requests")
    op.execute("DELETE FROM purses WHERE batch_id IS NULL")
    with op.batch_alter_table("purses") as purses:
        purses.alter_column("batch_id", existing_type=ID, nullable=False)
    op.drop_index(op.f("ix_rate_holders_rate_id"), "rate_holders")
    op.drop_table("rate_holders")
    op.execute("ALTER TABLE rates DROP COLUMN turned_away")
    op.execute("ALTER TABLE projects DROP COLUMN limits")
