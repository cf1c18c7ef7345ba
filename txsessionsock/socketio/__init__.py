"""
Socket.IO: its official client, with sessions.
"""
