"""What each component of kdlab computes at its version, kept in `values.json`: see `tests/test_recorded.py`.

`python -m tests.recorded` records the components whose version was raised, and new ones.
"""
