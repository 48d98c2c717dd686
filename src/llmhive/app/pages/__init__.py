"""The web pages. Start reading in `site.py`; `rooms.py` lists them."""
