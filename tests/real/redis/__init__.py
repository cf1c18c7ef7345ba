"""
Tests that need a Redis.
"""
