"""Measurements of the parts that must be quick. `python -m bench [NAME ...]` runs all, or those named."""
