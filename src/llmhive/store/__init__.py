"""Where we keep it: SQL only; SQLite and PostgreSQL."""
