"""
Tests for L{txsessionsock.service}.
"""
