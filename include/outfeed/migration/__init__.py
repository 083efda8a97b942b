"""From an old installation's settings to a customer's file (document 002's options)."""
