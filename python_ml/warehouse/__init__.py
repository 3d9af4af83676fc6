"""The database: its server, connections, migrations, bulk moves and dbt."""
