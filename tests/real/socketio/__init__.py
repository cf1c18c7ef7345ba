"""
Tests of Socket.IO over real sockets.
"""
