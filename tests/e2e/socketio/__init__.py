"""
Programs for the tests of Socket.IO: the official client and server, and ours.
"""
