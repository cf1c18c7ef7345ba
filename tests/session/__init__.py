"""
Tests for L{txsessionsock.session}.
"""
