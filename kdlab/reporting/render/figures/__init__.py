"""The pictures of a report: one module each, from evidence to a `Picture`, or None where there is nothing to show."""
