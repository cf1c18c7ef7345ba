"""
The places where sessions are kept, one module each.
"""
