"""Other packages that price tokens, beside ours: what they answer, and why where it differs."""
