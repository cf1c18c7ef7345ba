"""
The library's own SQLite file.
"""
