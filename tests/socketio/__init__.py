"""
Tests for L{txsessionsock.protocol}.
"""
