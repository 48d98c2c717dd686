"""The HTTP service: one file per resource."""
