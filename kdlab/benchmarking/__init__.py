"""What a step costs, measured beside a plain loop: the parts of `python -m kdlab.benchmark`."""
