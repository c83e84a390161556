"""The teacher cache: outputs computed once and read by every later epoch, run and cell."""
