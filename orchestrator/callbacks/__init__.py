"""Telling callers: which addresses may be called, the signed request, and what is owed to whom."""
