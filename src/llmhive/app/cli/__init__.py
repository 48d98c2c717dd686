"""The command `llmhive`: one file per group of commands."""
