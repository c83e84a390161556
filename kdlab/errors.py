"""The expected errors, each with the exit code of the command."""


class KdlabError(Exception):
    """An error that is shown to the user in one message, without a traceback."""

    exit_code = 1


class BadInput(KdlabError):
    """The input is wrong: an unknown key, missing data, a checkpoint that does not fit."""

    exit_code = 2


class JobFailed(KdlabError):
    """A job started and failed: an exporter lacks an operator, the disk is full."""


class TrainingFailed(JobFailed):
    """A stage started and failed: the loss is not finite, a rank ended."""


class StoppedEarly(KdlabError):
    """A search stopped this trial early; its checkpoint is saved, and this is not a failure."""

    exit_code = 0


class Interrupted(KdlabError):
    """The user asked to stop (Ctrl-C, SIGTERM); the checkpoint is saved."""

    exit_code = 130


def first_line(error: Exception) -> str:
    """The first line of an error's message; its type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
