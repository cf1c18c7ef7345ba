"""
Tests on real servers, applications and browsers.
"""
