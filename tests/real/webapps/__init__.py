"""
Tests that need web applications of other frameworks.
"""
