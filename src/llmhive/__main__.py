"""``python -m llmhive``."""

from llmhive.app.cli.main import main

main()
