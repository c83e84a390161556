"""Serves an exported artifact over HTTP: `python -m kdlab.serve RUN`. Nothing here but `validation` imports torch."""
