"""
Tests for L{txsessionsock._redis}.
"""
