"""
Tests that need processes and real sockets.
"""
