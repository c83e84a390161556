"""`python -m kdlab.jobs.training.rank`: the process of one rank."""

from kdlab.jobs.training.process import leave, load_libraries

if __name__ == "__main__":
    load_libraries()
    from kdlab.jobs.training.ranks import main

    main()
    leave(0)
