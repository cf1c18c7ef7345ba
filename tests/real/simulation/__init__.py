"""
The models of the simulator beside what they are models of.
"""
