"""
Tests for L{txsessionsock.web}.
"""
