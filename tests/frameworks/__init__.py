"""
Tests for L{txsessionsock.frameworks}.
"""
