"""
Tests for L{txsessionsock.socketio}.
"""
