"""One module per kind of plan; `conf/plan/*.yaml` name their functions."""
