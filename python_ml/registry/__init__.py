"""Versions and what becomes of them: artifacts, deployments, promotion."""
