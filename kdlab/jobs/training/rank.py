"""`python -m kdlab.jobs.training.rank`: the process of one rank."""

from kdlab.jobs.training.process import load_libraries, run_and_leave

if __name__ == "__main__":
    load_libraries()
    from kdlab.jobs.training.ranks import main

    run_and_leave(main)
