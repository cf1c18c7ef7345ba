"""
Sessions in tables of SQL databases.
"""
