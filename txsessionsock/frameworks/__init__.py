"""
How web frameworks keep their sessions, one module each.
"""
