"""Teachers' outputs, computed once and read back by every later epoch, run and cell."""
