"""a queue may hold anchors that were drawn to be graded once more, cold

Revision 0010, after 0006.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("annotation_queues", sa.Column("regrade", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("annotation_queues", "regrade")
