"""
Tests for L{txsessionsock.hub}.
"""
