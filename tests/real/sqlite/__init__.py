"""
Tests that need files and processes that share them.
"""
