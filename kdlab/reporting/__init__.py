"""Reports: collects the results of runs, analyses them, and writes page, tables and pictures."""
