"""
Tests for L{txsessionsock.bus}.
"""
