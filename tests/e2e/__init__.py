"""
What the servers of the end-to-end tests serve.
"""
