"""The web API: a Flask blueprint at `/api/dream_lab`, with its OpenAPI document beside it.

It checks who asks and what is asked, and shows what the lab says; it decides nothing.
"""
