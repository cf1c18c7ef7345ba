"""
Use your web sessions on your WebSockets.
"""
