"""
Tests for the simulator.
"""
