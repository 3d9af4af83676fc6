"""Readers of sources: files and packages as frames, nothing checked."""
