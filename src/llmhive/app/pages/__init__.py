"""The web pages. Start reading in `site.py`."""
