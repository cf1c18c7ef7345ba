"""
Tests of what a WebSocket is at all of its doors.
"""
