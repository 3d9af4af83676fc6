"""Alerts: what someone should know of, told once and until it is over.

`kinds` asks the warehouse, one statement a kind; `changes` decides what that
means for the alerts there are; `digests` puts it into words; `channels` sends
it; `delivery` sees to it that nothing is sent twice. `check` does all of it.
"""
