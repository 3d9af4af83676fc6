"""Figures as plain dictionaries of Plotly's, made of frames.

Every function here is pure: frames in, `Figure` out. Colours are names of the
style sheet's variables (`@interval`), which the browser fills in, so that light
and dark are the same figure.
"""
