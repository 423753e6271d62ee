"""The way of jobs and their items through one worker."""
