"""
Tests that need Chromium or Node.js.
"""
