"""What can go wrong in an ordinary way, and the exit code the command then ends with."""


class KdlabError(Exception):
    """A failure that is explained to the user in one message, without a traceback."""

    exit_code = 1


class BadInput(KdlabError):
    """The request cannot be met as it was made: an unknown key, missing data, a checkpoint that does not fit."""

    exit_code = 2


class TrainingFailed(KdlabError):
    """A stage started and could not go on: the loss is not finite, the disk is full."""


class StoppedEarly(KdlabError):
    """A search saw enough of this trial; what was reached is saved, and nothing went wrong."""

    exit_code = 0


class Interrupted(KdlabError):
    """The user asked to stop (Ctrl-C, SIGTERM); what was reached is saved."""

    exit_code = 130


def first_line(error: Exception) -> str:
    """What an error says, in one line; its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
