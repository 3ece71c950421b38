"""What Postgres itself says a schema is, to compare two databases by."""

from __future__ import annotations

from sqlalchemy import Connection, text

Catalog = dict[str, set[tuple[str | None, ...]]]

_OURS = "n.nspname IN ('public', 'auth') AND c.relname <> 'matching_schema_version'"
_QUERIES = {
    "columns": f"""
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
            a.attgenerated::text, a.attidentity::text, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE {_OURS} AND a.attnum > 0 AND NOT a.attisdropped
    """,
    # Newer servers list what is NOT NULL here as well; the columns say that already.
    "constraints": f"""
        SELECT c.relname, k.conname, pg_get_constraintdef(k.oid)
        FROM pg_constraint k
        JOIN pg_class c ON c.oid = k.conrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {_OURS} AND k.contype <> 'n'
    """,
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes
        WHERE schemaname IN ('public', 'auth') AND tablename <> 'matching_schema_version'
    """,
    "tables": f"""
        SELECT n.nspname, c.relname, array_to_string(c.reloptions, ','), obj_description(c.oid, 'pg_class')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {_OURS} AND c.relkind = 'r'
    """,
}


def catalog(conn: Connection) -> Catalog:
    """Tables, columns, constraints and indexes, as Postgres spells them."""
    return {subject: {tuple(row) for row in conn.execute(text(query))} for subject, query in _QUERIES.items()}


def differences(left: Catalog, right: Catalog) -> list[str]:
    """What only one of the two has, a line each."""
    lines = []
    for subject in left:
        lines += [f"left only, {subject}: {row}" for row in sorted(map(str, left[subject] - right[subject]))]
        lines += [f"right only, {subject}: {row}" for row in sorted(map(str, right[subject] - left[subject]))]
    return lines
