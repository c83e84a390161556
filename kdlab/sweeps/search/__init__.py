"""A search for the setting with the best headline metric on validation, in place of a grid: `hydra/sweeper=optuna`.

The sweeper is kdlab's own and small, over current optuna. The published one, hydra-optuna-sweeper, needs optuna
below 3, and its database storage fails beside SQLAlchemy 2; it also keeps no record of which trials were killed, and
cannot stop a trial early. Here the study is a journal file in the sweep's folder, which needs no database.

Guarantees, for the same command with the same number of trials at a time:
- a killed search continues: finished and stopped trials are kept, running trials start again with the same values and
  the same number, failed ones are run again;
- each trial's values depend only on the seed, its number, and the trials of earlier batches, so a killed search
  samples the same values as one that was not interrupted;
- a trial that is not stopped trains exactly as it would by itself, and a stopped one keeps its checkpoint.
"""
