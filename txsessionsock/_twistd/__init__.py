"""
What C{twistd sessionsock} is made of.
"""
