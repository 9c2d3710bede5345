"""What the shop sells: an SQLite database in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from threading import Lock
from typing import Any

_lock = Lock()
_db = sqlite3.connect(":memory:", check_same_thread=False)
_db.executescript("""
    create table item (sku text primary key, name text, cents integer);
    insert into item values ('tea', 'Green tea', 450), ('mug', 'Mug, blue', 1200), ('pot', 'Tea pot', 3900);
""")


def find(search: str) -> list[dict[str, Any]]:
    """Return the items whose name contains `search`."""
    return list(matching(search))


def matching(search: str) -> Iterator[dict[str, Any]]:
    """Yield the items whose name contains `search`."""
    for sku, name, cents in select("select sku, name, cents from item where name like ?", f"%{search}%"):
        yield {"sku": sku, "name": name, "cents": cents}


def price_of(sku: str) -> int:
    """Return the price in cents."""
    rows = select("select cents from item where sku = ?", sku)
    return int(rows[0][0])


def select(query: str, *values: str) -> list[tuple[Any, ...]]:
    """Run a query."""
    with _lock:
        return _db.execute(query, values).fetchall()


def count_sales(dsn: str) -> int:
    """Count sales in the data warehouse: work that keeps the processor busy."""
    sales = 0
    for day in range(30):
        sales += sales_of(dsn, day)
    return sales


def sales_of(dsn: str, day: int) -> int:
    """Count the sales of one day."""
    return sum(range(5_000 * day)) % 997
