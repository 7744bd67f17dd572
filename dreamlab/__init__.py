"""Dream Lab: a team that answers questions about social services, and learns at night."""

__version__ = "0.1.0"
