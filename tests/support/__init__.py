"""
What tests stand on.
"""
