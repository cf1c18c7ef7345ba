"""
A simulator: real managers and clients in a world without threads, sockets or
time of its own, whose every history comes from one number, and a checker that
reads what happened: see README.md.
"""
