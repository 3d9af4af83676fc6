"""Jobs of a schedule: due by the sessions of the exchange, not by the clock.

A timer may start them as often as it likes. `due` says whether a day, week or
month of sessions has ended since the last success, so that a holiday does
nothing and a machine that was off catches up; `run` does it, under the job's
lock, with a log of its own, and tells alerts at the end.
"""
