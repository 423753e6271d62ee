"""The HTTP intake: jobs, single photos, progress and results over HTTP (`respray api`, ADAPTER=http)."""
