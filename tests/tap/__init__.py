"""
Tests for L{txsessionsock.tap}.
"""
