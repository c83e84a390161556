"""The installation, the machine and the folders that a run would use, and what would break it."""
