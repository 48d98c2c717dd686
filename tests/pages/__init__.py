"""The pages, as a browser shows them, and the database they show."""
