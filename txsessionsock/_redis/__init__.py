"""
A connection to a Redis.
"""
