"""OpenRouter: asking it, reading its answers, and the sync."""
