"""Whether new versions take over: decided together, horizon by horizon.

A training yields a version for every series, made by one recipe. Whether the
recipe takes over is decided for each timeframe and horizon over all its
series: what the challengers predicted in time order on their validation rows
against what the champions really forecast of the same bars (the ledger),
paired, with a standard error from whole-market blocks of calendar time. A
champion has not seen these bars either, because the ledger only holds bars
after the as-of time of the version that forecast them.

`cohort` says who is compared, `evidence` reads what both forecast, `verdict`
says what follows from it, `decisions` puts the three together and `promote`
writes what was decided.
"""
