"""One planner per kind of plan, named by `conf/plan/*.yaml`."""
