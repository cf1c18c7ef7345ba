"""
Tests for L{txsessionsock.testing}.
"""
