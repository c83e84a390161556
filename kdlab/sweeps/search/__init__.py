"""A search for the setting with the best headline metric on validation, in place of a grid: `hydra/sweeper=optuna`.

The sweeper is kdlab's own and small, over current optuna. The published one, hydra-optuna-sweeper, needs optuna
below 3, and its database storage fails beside SQLAlchemy 2; it also keeps no record of which trials were killed, and
cannot stop a trial early. Here the study is a journal file in the sweep's folder, which needs no database.

Promises, for the same command with the same number of trials at a time:
- what was killed goes on: finished and stopped trials stand, trials at work begin again with the same values under
  the same number, failed ones get another chance;
- each trial's values depend on the seed, its number, and the trials of earlier batches alone, so a killed search
  draws what an undisturbed one would have drawn;
- a trial that is not stopped trains exactly as it would by itself, and what is stopped keeps its checkpoint.
"""
