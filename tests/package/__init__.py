"""
Tests for the package as a whole, and its modules at the top level.
"""
