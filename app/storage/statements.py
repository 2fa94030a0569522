"""Inserts compiled once: many rows of many requests go to one executemany, as plain tuples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Dialect, Table, bindparam, func, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

Row = tuple[Any, ...]
Prepare = Callable[[Connection, list[Row]], list[Row]]


@dataclass(frozen=True, eq=False, slots=True)
class Insert:
    """How rows of one table are written.

    ``columns`` gives the order of a row's values. What a conflict on the primary key does is set by
    one of: ``ignore`` (the row is there already), ``fill`` (columns that are null there are filled),
    ``add`` (columns that are summed); otherwise it is an error. ``prepare`` turns the rows of a whole
    commit into what is executed; it may ask the database and may raise. ``remember`` skips rows whose
    id (the first value) this process has already committed: for the few rows that come with every grade.
    """

    table: Table
    columns: tuple[str, ...]
    ignore: bool = False
    fill: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    prepare: Prepare | None = None
    remember: bool = False
    _sql: dict[str, str] = field(default_factory=dict)

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert ``rows`` in one executemany.

        Raises
        ------
        IntegrityError
            If a key is taken or a parent is missing.
        DBAPIError
            For whatever else the database refuses.
        """
        if not rows:
            return
        # The driver's cursor: rows are ready as they are, and SQLAlchemy's own way costs as much again.
        driver: Any = connection.dialect.loaded_dbapi
        statement = self._text(connection.dialect)
        cursor = connection.connection.cursor()
        try:
            cursor.executemany(statement, list(rows))
        except driver.IntegrityError as error:
            raise IntegrityError(statement, None, error) from error
        except driver.Error as error:
            kind = OperationalError if isinstance(error, driver.OperationalError) else DBAPIError
            raise kind(statement, None, error) from error
        finally:
            cursor.close()

    def _text(self, dialect: Dialect) -> str:
        if dialect.name not in self._sql:
            self._sql[dialect.name] = self._compile(dialect)
        return self._sql[dialect.name]

    def _compile(self, dialect: Dialect) -> str:
        insert = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
        values = {name: bindparam(name, type_=self.table.c[name].type) for name in self.columns}
        statement: Any = insert(self.table).values(values)
        key = [column.name for column in self.table.primary_key]
        mine, theirs = self.table.c, statement.excluded
        if self.ignore:
            statement = statement.on_conflict_do_nothing()
        elif self.fill:
            statement = statement.on_conflict_do_update(
                index_elements=key,
                set_={name: func.coalesce(mine[name], theirs[name]) for name in self.fill},
                # A row that has nothing to add must not be rewritten.
                where=_any_of([mine[n].is_(None) & theirs[n].is_not(None) for n in self.fill]),
            )
        elif self.add:
            statement = statement.on_conflict_do_update(
                index_elements=key, set_={name: mine[name] + theirs[name] for name in self.add}
            )
        compiled = statement.compile(dialect=dialect)
        if tuple(compiled.positiontup or ()) != _in_table_order(self):
            raise AssertionError(f"columns of {self.table.name} must be given in the table's order")
        return str(compiled)


@dataclass(frozen=True, eq=False, slots=True)
class Update(Insert):
    """How rows that are there are changed: the last of ``columns`` names the row, the others are set.

    Rows that ``only_if`` (a condition in SQL) does not hold for stay as they are.
    """

    only_if: str = "1 = 1"

    def _compile(self, dialect: Dialect) -> str:
        *changed, key = self.columns
        values = {name: bindparam(name, type_=self.table.c[name].type) for name in changed}
        named = self.table.c[key] == bindparam(f"the_{key}", type_=self.table.c[key].type)
        statement = update(self.table).where(named, text(self.only_if)).values(values)
        compiled = statement.compile(dialect=dialect)
        if tuple(compiled.positiontup or ()) != (*changed, f"the_{key}"):
            raise AssertionError(f"columns of {self.table.name} must be given in the table's order")
        return str(compiled)


@dataclass(frozen=True, eq=False, slots=True)
class Add(Insert):
    """How sums that are there grow: a row has what is added to each of ``columns`` but the last, its key.

    The rows of one commit are added up first (`summed`), and taken in the order of keys.
    """

    def _compile(self, dialect: Dialect) -> str:
        *added, key = self.columns
        column = self.table.c
        values = {name: column[name] + bindparam(f"by_{name}", type_=column[name].type) for name in added}
        named = column[key] == bindparam(f"the_{key}", type_=column[key].type)
        compiled = update(self.table).where(named).values(values).compile(dialect=dialect)
        if tuple(compiled.positiontup or ()) != (*(f"by_{name}" for name in added), f"the_{key}"):
            raise AssertionError(f"columns of {self.table.name} must be given in the table's order")
        return str(compiled)


def summed(_: Connection, rows: list[Row]) -> list[Row]:
    """One row per key (the last value), its amounts added up; for `Add`."""
    sums: dict[Any, list[Any]] = {}
    for *amounts, key in rows:
        held = sums.get(key)
        if held is None:
            sums[key] = amounts
        else:
            for place, amount in enumerate(amounts):
                held[place] += amount
    return [(*sums[key], key) for key in sorted(sums)]


def _in_table_order(insert: Insert) -> Row:
    return tuple(insert.columns)


def _any_of(conditions: list[Any]) -> Any:
    first, *rest = conditions
    for condition in rest:
        first = first | condition
    return first


def by_id(_: Connection, rows: list[Row]) -> list[Row]:
    """One row per id, in the order of ids: all processes then lock shared rows in the same order."""
    return [row for _, row in sorted({row[0]: row for row in rows}.items())]


def all_by_id(_: Connection, rows: list[Row]) -> list[Row]:
    """Distinct rows in the order of ids; for inserts that fill gaps, where rows of one id may differ."""
    return sorted(dict.fromkeys(rows), key=_first)


def _first(row: Row) -> Any:
    return row[0]
