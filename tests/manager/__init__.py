"""
Tests for L{txsessionsock.manager}.
"""
