"""
Tests for L{txsessionsock.websocket}.
"""
