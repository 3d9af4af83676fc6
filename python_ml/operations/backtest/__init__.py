"""Run the jobs of the live system through history, into the ledger."""
