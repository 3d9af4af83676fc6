"""The jobs in their order."""
