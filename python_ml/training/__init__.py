"""Fit, weigh, record and promote ensembles."""
