"""Where networks come from: one module for each value of `source`."""
