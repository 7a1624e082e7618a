"""A history for Alembic, as an application has it: tables, types, data, an index, a rename."""

from __future__ import annotations

from pathlib import Path

_HEAD = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = {revision!r}, {before!r}
branch_labels = depends_on = None
"""

_REVISIONS = (
    """
def upgrade():
    op.create_table(
        "people",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("mood", sa.Enum("good", "bad", name="mood"), nullable=False),
    )

def downgrade():
    op.drop_table("people")
    op.execute("DROP TYPE mood")
""",
    '''
from sqlalchemy.dialects.postgresql import JSONB

def upgrade():
    op.bulk_insert(
        sa.table(
            "people",
            sa.column("name", sa.Text),
            sa.column("mood", sa.Enum("good", "bad", name="mood")),
        ),
        [{"name": "Ann", "mood": "good"}, {"name": "100% Bob's", "mood": "bad"}],
    )
    op.add_column("people", sa.Column("data", JSONB, nullable=True))
    op.execute("""UPDATE people SET data = jsonb_build_object('from', name)""")
    op.alter_column("people", "data", nullable=False)

def downgrade():
    op.drop_column("people", "data")
    op.execute("DELETE FROM people WHERE name LIKE '100%'")
''',
    """
def upgrade():
    with op.get_context().autocommit_block():
        op.create_index(
            "people_name", "people", ["name"], unique=True, postgresql_concurrently=True
        )

def downgrade():
    with op.get_context().autocommit_block():
        op.drop_index("people_name", "people", postgresql_concurrently=True)
""",
    """
def upgrade():
    with op.get_context().autocommit_block():
        op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'mixed'")
    op.alter_column("people", "name", new_column_name="full_name", type_=sa.String(80))
    connection = op.get_bind()
    for (number,) in connection.execute(sa.text("SELECT id FROM people")).all():
        connection.execute(
            sa.text("UPDATE people SET full_name = full_name || :n WHERE id = :id"),
            {"n": f" {number}", "id": number},
        )

def downgrade():
    op.execute("UPDATE people SET full_name = regexp_replace(full_name, ' [0-9]+$', '')")
    op.alter_column("people", "full_name", new_column_name="name", type_=sa.Text)
""",
)

_ENV = """
from alembic import context
from sqlalchemy import create_engine, pool

config = context.config

def run(connection):
    context.configure(connection=connection, target_metadata=config.attributes.get("metadata"))
    with context.begin_transaction():
        context.run_migrations()

if context.is_offline_mode():
    context.configure(url=config.get_main_option("sqlalchemy.url"), literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = create_engine(config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        run(connection)
    engine.dispose()
"""

_ASYNC_ENV = """
import asyncio

from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import create_async_engine

config = context.config

def run(connection):
    context.configure(connection=connection, target_metadata=config.attributes.get("metadata"))
    with context.begin_transaction():
        context.run_migrations()

async def main():
    url = config.get_main_option("sqlalchemy.url")
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()

asyncio.run(main())
"""


def write(directory: Path, is_async: bool) -> None:
    """Write env.py and the revisions "1" to "4"."""
    (directory / "versions").mkdir(parents=True)
    (directory / "env.py").write_text(_ASYNC_ENV if is_async else _ENV)
    (directory / "script.py.mako").write_text(
        "revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n"
        "def upgrade():\n    ${upgrades}\n"
    )
    before: str | None = None
    for number, body in enumerate(_REVISIONS, 1):
        head = _HEAD.format(revision=str(number), before=before)
        (directory / "versions" / f"{number}.py").write_text(head + body)
        before = str(number)
