"""Look at everything and say what must be done; nothing is changed.

Each check is a function that returns what it found. One that cannot look says
so and keeps no other from looking.
"""
