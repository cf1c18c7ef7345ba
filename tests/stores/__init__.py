"""
Tests for L{txsessionsock.stores}.
"""
