"""
Tests for L{txsessionsock.clients}.
"""
