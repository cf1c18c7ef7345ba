"""
Measurements that are kept, to be repeated: see README.md.
"""
