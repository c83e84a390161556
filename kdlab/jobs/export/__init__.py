"""Jobs that turn a finished stage into artifacts, prove each against the student, and measure them."""
