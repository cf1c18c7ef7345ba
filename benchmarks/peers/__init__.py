"""
Servers that C{python -m benchmarks.socketio} runs beside ours, each with packages
of its own.
"""
