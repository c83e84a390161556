"""A job that does nothing, for tests of how its events are shown."""

from kdlab.jobs.job import Job


class Nap(Job):
    name = "nap"
    fingerprint = "0" * 16

    def run(self, folder, inputs, emit):
        return {}


NAP = Nap()
