"""
Tests for L{txsessionsock.redis}.
"""
