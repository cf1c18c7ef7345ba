"""
Servers that L{benchmarks.compare} and L{benchmarks.socketio} run, ours and others, each
as its users would write it.
"""
