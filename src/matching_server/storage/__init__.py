"""SQL: tables, migrations, the database, and the queries by subject."""
